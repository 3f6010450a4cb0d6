"""How Intel judges a TCB: the first level that fits, for platform, quoting enclave and TDX module, joined into one status.

Source: Intel SGX DCAP quote verification library, EvaluateTcb, TcbLevelCheck, TDRelaunchCheck; Intel TDX DCAP, "TD relaunch".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from donjon.collateral.levels import LevelStatus, SvnLevel
from donjon.collateral.status import TERMINAL, TcbStatus
from donjon.collateral.tcb_info import Module, TcbInfo
from donjon.collateral.trusted import TrustedCollateral
from donjon.pki.pck import PckPlatform
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport, TdReport15

S = TcbStatus
_VERSIONED = 2  # with a versioned module, SVNs 0 and 1 are the module's own and are judged by its identity

_WITH_COMPONENT_OUT_OF_DATE = {
    S.UP_TO_DATE: S.OUT_OF_DATE,
    S.SW_HARDENING_NEEDED: S.OUT_OF_DATE,
    S.CONFIGURATION_NEEDED: S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    S.CONFIGURATION_AND_SW_HARDENING_NEEDED: S.OUT_OF_DATE_CONFIGURATION_NEEDED,
}
_NEEDS_CONFIGURATION = frozenset(
    {S.CONFIGURATION_NEEDED, S.CONFIGURATION_AND_SW_HARDENING_NEEDED, S.OUT_OF_DATE_CONFIGURATION_NEEDED}
)
_OUT_OF_DATE = frozenset({S.OUT_OF_DATE, S.OUT_OF_DATE_CONFIGURATION_NEEDED})
_CURRENT = frozenset(_WITH_COMPONENT_OUT_OF_DATE)
_OF_COMPONENTS = frozenset({S.UP_TO_DATE, S.OUT_OF_DATE, S.REVOKED})
"""What Intel says of quoting enclaves and modules; any other word is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbVerdict:
    """What Intel says of a platform's TCB, by one collateral; no moment is in it."""

    status: TcbStatus
    date: datetime | None  # of the last advisories that all its parts answer; `None` where a part has no level
    advisories: tuple[str, ...]  # of all parts, each once
    evaluation_number: int  # of the TCB info
    platform: TcbStatus  # the parts, each by itself
    quoting_enclave: TcbStatus
    module: TcbStatus | None  # of TDX with a versioned module alone


def judge(platform: PckPlatform, qe_report: ReportBody, body: ReportBody | TdReport, collateral: TrustedCollateral) -> TcbVerdict:
    """The verdict on that platform, its quoting enclave and, for TDX, its module; a TD of TDX 1.5 may be advised to relaunch."""
    enclave = _svn_level(collateral.qe_identity.levels, qe_report.isv_svn)
    if not isinstance(body, TdReport):
        return _join_levels(collateral.tcb_info, _level(platform, None, collateral.tcb_info), enclave)
    launch = _of_module(platform, body.tee_tcb_svn, enclave, collateral.tcb_info)
    if not isinstance(body, TdReport15):
        return launch
    return _advise_relaunch(launch, _of_module(platform, body.tee_tcb_svn_2, enclave, collateral.tcb_info))


def module_of(tee_tcb_svn: bytes, info: TcbInfo) -> Module | None:
    """What Intel states about the TDX module of that version; `None` where it states nothing."""
    version = tee_tcb_svn[1]
    return (info.modules or {}).get(f"TDX_{version:02X}") if version else info.module


def _of_module(platform: PckPlatform, tee_tcb_svn: bytes, enclave: LevelStatus | None, info: TcbInfo) -> TcbVerdict:
    level = _level(platform, tee_tcb_svn, info)
    if not tee_tcb_svn[1]:
        return _join_levels(info, level, enclave)
    module = module_of(tee_tcb_svn, info)
    return _join_levels(info, level, enclave, _svn_level(module.levels if module else (), tee_tcb_svn[0]))


def _level(platform: PckPlatform, tee_tcb_svn: bytes | None, info: TcbInfo) -> LevelStatus | None:
    """Of the first level that the PCK certificate's TCB reaches and, for TDX, the module's SVNs."""
    first = _VERSIONED if tee_tcb_svn is not None and tee_tcb_svn[1] else 0
    for level in info.levels:
        if platform.pce_svn < level.pce_svn or not _reaches(platform.components, level.sgx):
            continue
        if tee_tcb_svn is None or _reaches(tee_tcb_svn[first:], (level.tdx or b"")[first:]):
            return level.level_status
    return None


def _reaches(svns: bytes, level: bytes) -> bool:
    return all(svn >= least for svn, least in zip(svns, level, strict=True))


def _svn_level(levels: Iterable[SvnLevel], svn: int) -> LevelStatus | None:
    return next((level.level_status for level in levels if svn >= level.isv_svn), None)


def _join_levels(
    info: TcbInfo, platform: LevelStatus | None, enclave: LevelStatus | None, *module: LevelStatus | None
) -> TcbVerdict:
    components = [
        _status(each) if _status(each) in {*_OF_COMPONENTS, S.NOT_SUPPORTED} else S.UNRECOGNIZED for each in (enclave, *module)
    ]
    status = _converge(_status(platform), components)
    levels = [each for each in (platform, enclave, *module) if each is not None]
    whole = status is not S.NOT_SUPPORTED
    return TcbVerdict(
        status=status,
        date=min(each.date for each in levels) if whole else None,
        advisories=tuple(dict.fromkeys(text for each in levels for text in each.advisories)) if whole else (),
        evaluation_number=info.evaluation_number,
        platform=_status(platform),
        quoting_enclave=components[0],
        module=components[1] if module else None,
    )


def _status(level_status: LevelStatus | None) -> TcbStatus:
    return S.NOT_SUPPORTED if level_status is None else level_status.status


def _converge(platform: TcbStatus, components: list[TcbStatus]) -> TcbStatus:
    """The platform's status where all its components are up to date; what nobody can accept wins."""
    for terminal in (S.NOT_SUPPORTED, S.REVOKED, S.UNRECOGNIZED):
        if terminal in (platform, *components):
            return terminal
    return _WITH_COMPONENT_OUT_OF_DATE.get(platform, platform) if S.OUT_OF_DATE in components else platform


def _advise_relaunch(launch: TcbVerdict, current: TcbVerdict) -> TcbVerdict:
    """A TD that was launched on an old TCB, on a platform that is current by now, needs only a new launch.

    Intel's library looks at the current TCB only where the one at launch is out of date; here, what nobody can accept wins.
    """
    if current.status in TERMINAL and launch.status not in TERMINAL:
        return current
    if launch.status not in _OUT_OF_DATE or current.status not in _CURRENT:
        return launch
    configure = {launch.status, current.status} & _NEEDS_CONFIGURATION
    status = S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED if configure else S.TD_RELAUNCH_ADVISED
    return TcbVerdict(
        status=status,
        date=launch.date,
        advisories=launch.advisories,
        evaluation_number=launch.evaluation_number,
        platform=launch.platform,
        quoting_enclave=launch.quoting_enclave,
        module=launch.module,
    )
