"""Everything that a make-believe world is made from: a valid setting, and the same with named fields changed.

`with_changes` names fields by dotted paths ("hierarchy.pck.ends", "tcb_info.levels.0.status"); what depends on them is signed
anew when the world is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, TypeVar, cast

from donjon.errors import Misconfigured
from donjon.sgx.platform import Tee
from donjon.simulation.intel.certificates import CA_USAGES, CertificatePlan, RevocationList, SimulatedRole
from donjon.simulation.intel.documents import IsvLevel, QeIdentityFields, TcbInfoFields, TcbLevelFields, TdxModule
from donjon.simulation.intel.extension import Configuration, PckExtension
from donjon.simulation.intel.keys import octets
from donjon.simulation.intel.quotes import QuoteFields
from donjon.simulation.intel.reports import TEE_TCB_SVN, EnclaveReport, TdReportFields

Shape = Literal["enclave", "td 1.0", "td 1.5"]

SHAPES: Mapping[str, tuple[int, Shape]] = MappingProxyType(
    {
        "v3 SGX": (3, "enclave"),
        "v4 SGX": (4, "enclave"),
        "v4 TDX 1.0": (4, "td 1.0"),
        "v5 SGX": (5, "enclave"),
        "v5 TDX 1.0": (5, "td 1.0"),
        "v5 TDX 1.5": (5, "td 1.5"),
    }
)
"""Every kind of quote that can be made: its version and its body's shape."""

COMPONENTS = (11, 11, 2, 2, 255, 1, 12, 4, 1, 1, 1, 1, 1, 1, 1, 1)  # none zero, so that each can be one less
PCE_SVN = 13
TDX_COMPONENTS = (5, 0, 3) + (0,) * 13
_DAY = timedelta(days=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """The plans of the five certificates, from the root down to the PCK certificate."""

    root: CertificatePlan
    platform_ca: CertificatePlan
    processor_ca: CertificatePlan
    tcb_signing: CertificatePlan
    pck: CertificatePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Who signs the two documents, and the chains handed out with documents and PCK CRL."""

    tcb_info_by: str = SimulatedRole.TCB_SIGNING.name
    qe_identity_by: str = SimulatedRole.TCB_SIGNING.name
    tcb_info_chain: tuple[SimulatedRole, ...] = (SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT)
    qe_identity_chain: tuple[SimulatedRole, ...] = (SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT)
    pck_crl_chain: tuple[SimulatedRole, ...] = (SimulatedRole.PROCESSOR_CA, SimulatedRole.ROOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSetting:
    """Everything that a world is made from."""

    seed: bytes
    moment: datetime
    extension: PckExtension
    hierarchy: Hierarchy
    root_crl: RevocationList
    pck_crl: RevocationList
    tcb_info: TcbInfoFields
    qe_identity: QeIdentityFields
    signing: Signing
    quote: QuoteFields
    extension_value: bytes | None = None  # instead of the PCK extension's own encoding; empty: the certificate has none


def setting(seed: bytes, moment: datetime, kind: str = "v3 SGX", ca: SimulatedRole = SimulatedRole.PROCESSOR_CA) -> WorldSetting:
    """A valid world's setting, up to date at the moment, of one of the kinds in `SHAPES` and under one of the two PCK CAs."""
    version, shape = SHAPES[kind]
    tee = Tee.SGX if shape == "enclave" else Tee.TDX
    platform = ca is SimulatedRole.PLATFORM_CA
    extension = PckExtension(
        ppid=octets(seed, "ppid", 16),
        components=COMPONENTS,
        pce_svn=PCE_SVN,
        sgx_type=1 if platform else 0,
        platform_instance_id=octets(seed, "platform instance", 16) if platform else None,
        configuration=Configuration() if platform else None,
    )
    qe = EnclaveReport(
        mr_enclave=octets(seed, "qe", 32),
        mr_signer=octets(seed, "qe signer", 32),
        flags=0x11 | 0x04,  # INIT, MODE64BIT and PROVISIONKEY, as Intel's quoting enclaves have them
        isv_svn=8,
        isv_prod_id=1 if tee is Tee.SGX else 2,
    )
    return WorldSetting(
        seed=seed,
        moment=moment,
        extension=extension,
        hierarchy=hierarchy(moment, ca),
        root_crl=RevocationList(issuer=SimulatedRole.ROOT, issue_date=moment - 30 * _DAY, next_update=moment + 300 * _DAY),
        pck_crl=RevocationList(issuer=ca, issue_date=moment - 3 * _DAY, next_update=moment + 27 * _DAY, others=(1 << 150,)),
        tcb_info=_tcb_info(moment, extension.fmspc, tee),
        qe_identity=_qe_identity(moment, qe, tee),
        signing=Signing(pck_crl_chain=(ca, SimulatedRole.ROOT)),
        quote=QuoteFields(version=version, body=_body(seed, shape), qe=qe, chain=(SimulatedRole.PCK, ca, SimulatedRole.ROOT)),
    )


def hierarchy(moment: datetime, ca: SimulatedRole) -> Hierarchy:
    """The five certificates with the terms of Intel's, counted from the moment; the CA is the PCK certificate's issuer."""
    year = 365 * _DAY
    old = moment.replace(microsecond=0) - 3 * year

    def authority(role: SimulatedRole, path_length: int) -> CertificatePlan:
        return CertificatePlan(
            role=role,
            issuer=SimulatedRole.ROOT,
            begins=old,
            ends=old + 15 * year,
            authority=True,
            path_length=path_length,
            usages=CA_USAGES,
        )

    return Hierarchy(
        root=replace(authority(SimulatedRole.ROOT, 1), ends=old + 31 * year),
        platform_ca=authority(SimulatedRole.PLATFORM_CA, 0),
        processor_ca=authority(SimulatedRole.PROCESSOR_CA, 0),
        tcb_signing=CertificatePlan(role=SimulatedRole.TCB_SIGNING, issuer=SimulatedRole.ROOT, begins=old, ends=old + 7 * year),
        pck=CertificatePlan(role=SimulatedRole.PCK, issuer=ca, begins=old + 2 * year, ends=old + 9 * year),
    )


def with_changes(whole: WorldSetting, changes: Mapping[str, object]) -> WorldSetting:
    """The setting with these fields changed, each named by its dotted path; raises `Misconfigured` DJ290 where there is none."""
    for path, value in changes.items():
        whole = _put(whole, path.split("."), value, path)
    return whole


def _put(whole: T, path: list[str], value: object, full_path: str) -> T:
    first, *rest = path
    there = _inside(whole, first, full_path)
    inner = _put(there, rest, value, full_path) if rest else value
    if isinstance(whole, tuple):
        return cast("T", (*whole[: int(first)], inner, *whole[int(first) + 1 :]))
    if is_dataclass(whole) and not isinstance(whole, type):
        return replace(whole, **{first: inner})
    raise Misconfigured("DJ290", f"setting: it has no field {full_path}")


def _inside(whole: object, name: str, full_path: str) -> object:
    try:
        return whole[int(name)] if isinstance(whole, tuple) else getattr(whole, name)
    except (AttributeError, ValueError, IndexError) as error:
        raise Misconfigured("DJ290", f"setting: it has no field {full_path}") from error


def _body(seed: bytes, shape: Shape) -> EnclaveReport | TdReportFields:
    measurement = octets(seed, "enclave", 48)
    if shape == "enclave":
        return EnclaveReport(mr_enclave=measurement[:32], mr_signer=octets(seed, "enclave signer", 32))
    return TdReportFields(mr_td=measurement, tee_tcb_svn_2=TEE_TCB_SVN if shape == "td 1.5" else None)


def _tcb_info(moment: datetime, fmspc: bytes, tee: Tee) -> TcbInfoFields:
    """Two levels: what the platform has, and one component less."""
    tdx = TDX_COMPONENTS if tee is Tee.TDX else None
    older = (COMPONENTS[0] - 1, *COMPONENTS[1:])
    return TcbInfoFields(
        issue_date=moment - 2 * _DAY,
        next_update=moment + 28 * _DAY,
        fmspc=fmspc,
        tee=tee,
        levels=(
            TcbLevelFields(
                components=COMPONENTS, pce_svn=PCE_SVN, date=_past(moment, 100), status="UpToDate", tdx_components=tdx
            ),
            TcbLevelFields(
                components=older,
                pce_svn=PCE_SVN,
                date=_past(moment, 500),
                status="OutOfDate",
                advisories=("INTEL-SA-00001",),
                tdx_components=tdx,
            ),
        ),
        module=TdxModule() if tdx else None,
        modules=(TdxModule(identity="TDX_01", levels=_isv_levels(moment, TEE_TCB_SVN[0])),) if tdx else None,
    )


def _qe_identity(moment: datetime, qe: EnclaveReport, tee: Tee) -> QeIdentityFields:
    return QeIdentityFields(
        issue_date=moment - 2 * _DAY,
        next_update=moment + 28 * _DAY,
        identity="QE" if tee is Tee.SGX else "TD_QE",
        mr_signer=qe.mr_signer,
        isv_prod_id=qe.isv_prod_id,
        levels=_isv_levels(moment, qe.isv_svn),
    )


def _isv_levels(moment: datetime, isv_svn: int) -> tuple[IsvLevel, ...]:
    """Two levels: what there is, and one less."""
    return (
        IsvLevel(isv_svn=isv_svn, date=_past(moment, 90), status="UpToDate"),
        IsvLevel(isv_svn=isv_svn - 1, date=_past(moment, 600), status="OutOfDate", advisories=("INTEL-SA-00002",)),
    )


def _past(moment: datetime, days: int) -> datetime:
    """The midnight that many days ago: TCB dates are days."""
    return (moment - days * _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
