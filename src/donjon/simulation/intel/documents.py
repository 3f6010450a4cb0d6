"""What the make-believe Intel states about platforms: TCB infos of version 2 and 3, QE identities, as the text that is signed.

Shapes as of Intel's PCS API (v3 for version 2, v4 for version 3): https://api.portal.trustedservices.intel.com.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from donjon.formats.json import Json, JsonObject

Rewrite = Callable[[bytes], bytes]


def unchanged(text: bytes) -> bytes:
    """The rewrite that leaves the text as it is."""
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbLevelFields:
    """One level of a platform's TCB, the TDX components only for TDX."""

    components: tuple[int, ...]
    pce_svn: int
    date: datetime
    status: str
    tdx_components: tuple[int, ...] | None = None
    advisories: tuple[str, ...] = ()

    def json(self, version: int) -> Json:
        """Version 2 names each component, version 3 lists them."""
        tcb: JsonObject = {}
        if version == 2:  # noqa: PLR2004 - the format's own number
            tcb |= {f"sgxtcbcomp{place:02d}svn": svn for place, svn in enumerate(self.components, start=1)}
        else:
            tcb["sgxtcbcomponents"] = [{"svn": svn} for svn in self.components]
        tcb["pcesvn"] = self.pce_svn
        if self.tdx_components is not None:
            tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in self.tdx_components]
        return _level_json(tcb, self.date, self.status, self.advisories)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsvLevel:
    """One level of an enclave's or a TDX module's TCB."""

    isv_svn: int
    date: datetime
    status: str
    advisories: tuple[str, ...] = ()

    def json(self) -> Json:
        """As both formats write it."""
        return _level_json({"isvsvn": self.isv_svn}, self.date, self.status, self.advisories)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxModule:
    """What a TDX module must be; identities of named versions have levels, the plain `tdxModule` has none."""

    identity: str | None = None  # "TDX_01"
    mr_signer: bytes = bytes(48)
    attributes: bytes = bytes(8)
    mask: bytes = bytes([0xFF] * 8)
    levels: tuple[IsvLevel, ...] = ()

    def json(self) -> Json:
        """As `tdxModule` or an element of `tdxModuleIdentities`."""
        head: JsonObject = {} if self.identity is None else {"id": self.identity}
        plain: JsonObject = {
            "mrsigner": _hex(self.mr_signer),
            "attributes": _hex(self.attributes),
            "attributesMask": _hex(self.mask),
        }
        tail: JsonObject = {} if self.identity is None else {"tcbLevels": [level.json() for level in self.levels]}
        return head | plain | tail


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfoFields:
    """A TCB info to be signed; `rewrite` has the last word on its text, before the signature."""

    issue_date: datetime
    next_update: datetime
    fmspc: bytes
    levels: tuple[TcbLevelFields, ...]
    tee: str = "SGX"
    version: int = 3
    pce_id: bytes = bytes(2)
    tcb_type: int = 0
    evaluation_number: int = 20
    module: TdxModule | None = None
    modules: tuple[TdxModule, ...] | None = None
    rewrite: Rewrite = unchanged

    def text(self) -> bytes:
        """The signed text: compact JSON in the order of Intel's."""
        content: JsonObject = {"id": self.tee} if self.version > 2 else {}  # noqa: PLR2004 - the format's own number
        content |= {
            "version": self.version,
            **_dates(self.issue_date, self.next_update),
            "fmspc": _hex(self.fmspc),
            "pceId": _hex(self.pce_id),
            "tcbType": self.tcb_type,
            "tcbEvaluationDataNumber": self.evaluation_number,
        }
        if self.module is not None:
            content["tdxModule"] = self.module.json()
        if self.modules is not None:
            content["tdxModuleIdentities"] = [module.json() for module in self.modules]
        return self.rewrite(_compact(content | {"tcbLevels": [level.json(self.version) for level in self.levels]}))


@dataclass(frozen=True, slots=True, kw_only=True)
class QeIdentityFields:
    """The identity of a quoting enclave to be signed: `QE`, `TD_QE` or another one's."""

    issue_date: datetime
    next_update: datetime
    mr_signer: bytes
    levels: tuple[IsvLevel, ...]
    identity: str = "QE"
    version: int = 2
    evaluation_number: int = 20
    misc_select: bytes = bytes(4)
    misc_select_mask: bytes = bytes([0xFF] * 4)
    attributes: bytes = bytes([0x11]) + bytes(15)
    attributes_mask: bytes = bytes([0xFB] + [0xFF] * 7) + bytes(8)
    isv_prod_id: int = 1
    rewrite: Rewrite = unchanged

    def text(self) -> bytes:
        """The signed text: compact JSON in the order of Intel's."""
        content: JsonObject = {
            "id": self.identity,
            "version": self.version,
            **_dates(self.issue_date, self.next_update),
            "tcbEvaluationDataNumber": self.evaluation_number,
            "miscselect": _hex(self.misc_select),
            "miscselectMask": _hex(self.misc_select_mask),
            "attributes": _hex(self.attributes),
            "attributesMask": _hex(self.attributes_mask),
            "mrsigner": _hex(self.mr_signer),
            "isvprodid": self.isv_prod_id,
            "tcbLevels": [level.json() for level in self.levels],
        }
        return self.rewrite(_compact(content))


def moment_text(moment: datetime) -> str:
    """A moment as the documents write it, in UTC and whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _level_json(tcb: JsonObject, date: datetime, status: str, advisories: tuple[str, ...]) -> JsonObject:
    advisory_ids: JsonObject = {"advisoryIDs": list(advisories)} if advisories else {}
    return {"tcb": tcb, "tcbDate": moment_text(date), "tcbStatus": status, **advisory_ids}


def _dates(issue_date: datetime, next_update: datetime) -> JsonObject:
    return {"issueDate": moment_text(issue_date), "nextUpdate": moment_text(next_update)}


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _compact(content: JsonObject) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
