"""TCB info, versions 2 and 3: for one family of platforms, the levels of its TCB.

Source: Intel SGX and TDX PCS API v3 and v4, "Get TCB Info".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral import levels
from donjon.collateral.levels import LevelStatus, SvnLevel
from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.sgx.platform import Tee

COMPONENTS = 16
MAX_MODULES = 64  # of one document; Intel's have two
MAX_EVALUATION = (1 << 31) - 1

_TCB_TYPE = 0  # levels are compared component by component
_COMPONENT_NAMES = tuple(f"sgxtcbcomp{number:02}svn" for number in range(1, COMPONENTS + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbLevel:
    """From which SVNs on this is the platform's level."""

    sgx: bytes  # 16 SVNs
    pce_svn: int
    tdx: bytes | None  # 16 SVNs, of TDX alone
    level_status: LevelStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A TDX module: whose signature and which attributes it must have."""

    mr_signer: bytes
    attributes: bytes
    levels: tuple[SvnLevel, ...]  # none for modules before 1.5, which have theirs among the platform's


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """What Intel states about one family of platforms."""

    tee: Tee
    version: int
    fmspc: bytes
    pce_id: bytes
    issue_date: datetime
    next_update: datetime
    evaluation_number: int
    levels: tuple[TcbLevel, ...] = field(repr=False)  # the highest first
    module: Module | None  # of TDX alone
    modules: Mapping[str, Module] | None = field(hash=False)  # by "TDX_01"; `None` where the document has no such list


def parse(text: bytes) -> TcbInfo:
    """The TCB info that a signed text holds; raises `Malformed` DJ210 or DJ211."""
    info = strict_json.parse(text, "tcbInfo")
    version = info.number("version", 3)
    tee = _tee(info, version)
    if info.number("tcbType", 0xFFFF) != _TCB_TYPE:
        raise Malformed("DJ211", "tcbInfo: tcbType: expected 0: how to compare another type is not known")
    return TcbInfo(
        tee=tee,
        version=version,
        fmspc=info.octets("fmspc", 6),
        pce_id=info.octets("pceId", 2),
        issue_date=info.date("issueDate"),
        next_update=info.date("nextUpdate"),
        evaluation_number=info.number("tcbEvaluationDataNumber", MAX_EVALUATION),
        levels=_levels(info, version, tee),
        module=_module(info.member("tdxModule"), ()) if tee is Tee.TDX else None,
        modules=_modules(info) if tee is Tee.TDX and info.has("tdxModuleIdentities") else None,
    )


def _tee(info: Members, version: int) -> Tee:
    """Version 2 knows SGX alone and does not say so."""
    match version, info.content.get("id"):
        case (2, None) | (3, "SGX") if not (info.has("tdxModule") or info.has("tdxModuleIdentities")):
            return Tee.SGX
        case 3, "TDX":
            return Tee.TDX
    raise Malformed(
        "DJ211",
        f"tcbInfo: version {version} of {info.content.get('id')!r}: expected 2, or 3 of SGX or TDX, each with its own members",
    )


def _levels(info: Members, version: int, tee: Tee) -> tuple[TcbLevel, ...]:
    tcb_levels = tuple(_level(each, version, tee) for each in levels.level_objects(info))
    levels.check_order(info, [(each.sgx, each.pce_svn, each.tdx or b"") for each in tcb_levels])
    return tcb_levels


def _level(level: Members, version: int, tee: Tee) -> TcbLevel:
    tcb = level.member("tcb")
    return TcbLevel(
        sgx=tcb.flat(_COMPONENT_NAMES) if version == 2 else tcb.small("sgxtcbcomponents", "svn", COMPONENTS),  # noqa: PLR2004 - a version's number.
        pce_svn=tcb.number("pcesvn", levels.MAX_ISV_SVN),
        tdx=tcb.small("tdxtcbcomponents", "svn", COMPONENTS) if tee is Tee.TDX else None,
        level_status=levels.parse_level_status(level),
    )


def _module(module: Members, own: tuple[SvnLevel, ...]) -> Module:
    return Module(mr_signer=module.octets("mrsigner", 48), attributes=module.octets("attributes", 8), levels=own)


def _modules(info: Members) -> Mapping[str, Module]:
    identities = info.members("tdxModuleIdentities")
    modules = {each.text("id").upper(): _module(each, levels.svn_levels(each)) for each in identities}
    if len(modules) != len(identities) or len(modules) > MAX_MODULES:
        raise Malformed("DJ211", f"tcbInfo: {len(identities)} TDX module identities, expected at most {MAX_MODULES}, none twice")
    return modules
