"""One field of a valid setting changed at random; what follows from it is signed anew when its world is made."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.damage import Random, damaged, rewritten

from donjon.simulation.intel.certificates import CA_USAGES, LEAF_USAGES, SimulatedRole
from donjon.simulation.intel.documents import TcbInfoFields, TdxModule
from donjon.simulation.intel.keys import private_key, raw_public
from donjon.simulation.intel.reports import EnclaveReport
from donjon.simulation.intel.setting import WorldSetting

Changes = Mapping[str, object]
SECOND = timedelta(seconds=1)

CERTIFICATES = ("root", "platform_ca", "processor_ca", "tcb_signing", "pck")
KEYS = (*(role.name for role in SimulatedRole), "another key")
STATUSES = (
    *("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate"),
    *("OutOfDateConfigurationNeeded", "Revoked", "TDRelaunchAdvised", "uptodate", ""),
)
EXTENSIONS = ("2.5.29.35", "2.5.29.31", "2.5.29.14")  # AKI, CRL distribution points, SKI


def _extension(rng: Random, whole: WorldSetting) -> Changes:
    extension = whole.extension
    match rng.randrange(9):
        case 0 | 1:
            return {f"extension.components.{rng.randrange(16)}": rng.choice((0, 1, 2, 3, 10, 12, 254, 255))}
        case 2:
            return {"extension.pce_svn": rng.choice((0, 12, 13, 14, 255, 256, 65535))}
        case 3:
            return {"extension.fmspc": rng.choice((bytes(6), extension.fmspc[:5], extension.fmspc + b"\0"))}
        case 4:
            return {"extension.pce_id": rng.choice((b"\1\0", b"\0", bytes(3)))}
        case 5:
            return {"extension.sgx_type": rng.randrange(4)}
        case 6:
            return {"extension.platform_instance_id": rng.choice((None, bytes(16), bytes(15)))}
        case 7:
            return {"extension.cpu_svn": rng.choice((bytes(16), bytes([255] * 16), bytes(15)))}
        case _:
            value, _ = damaged(rng, extension.encode())
            return {"extension_value": value}


def _certificate(rng: Random, whole: WorldSetting) -> Changes:
    at = f"hierarchy.{rng.choice(CERTIFICATES)}"
    name = rng.choice([each.value for each in SimulatedRole] + ["SGX", "CA", "somebody"])
    change: Changes = rng.choice(
        (
            {"begins": whole.moment + rng.randint(-2, 2) * SECOND},
            {"ends": whole.moment + rng.randint(-2, 2) * SECOND},
            {"path_length": rng.choice((0, 1, 2)), "authority": True, "usages": CA_USAGES},
            {"path_length": None},
            {"authority": rng.choice((None, False)), "path_length": None},
            {"usages": rng.choice((None, CA_USAGES, LEAF_USAGES, frozenset({"key_agreement"}), frozenset({"crl_sign"})))},
            {"common_name": f"Donjon simulated {name}"},
            {"issuer_name": f"Donjon simulated {name}"},
            {"issuer": rng.choice(tuple(SimulatedRole))},
            {"organisation": "somebody"},
            {"key": rng.choice(KEYS)},
            {"signed_by": rng.choice(KEYS)},
            {"subject_key_id": rng.choice(KEYS)},
            {"authority_key_id": rng.choice(KEYS)},
            {"without": frozenset({rng.choice(EXTENSIONS)})},
        )
    )
    return {f"{at}.{field}": value for field, value in change.items()}


def _list(rng: Random, whole: WorldSetting) -> Changes:
    at = rng.choice(("root_crl", "pck_crl"))
    field, value = rng.choice(
        (
            ("issue_date", whole.moment + rng.randint(-2, 2) * SECOND),
            ("next_update", whole.moment + rng.randint(-2, 2) * SECOND),
            ("revoked", frozenset({rng.choice(tuple(SimulatedRole))})),
            ("others", tuple(rng.getrandbits(150) for _ in range(rng.randrange(5)))),
            ("number", rng.choice((None, 0, 2, 1 << 64))),
            ("issuer_name", f"Donjon simulated {rng.choice(tuple(SimulatedRole))}"),
            ("issuer", rng.choice(tuple(SimulatedRole))),
            ("signed_by", rng.choice(KEYS)),
            ("authority_key_id", rng.choice(KEYS)),
        )
    )
    return {f"{at}.{field}": value}


def _tcb_info(rng: Random, whole: WorldSetting) -> Changes:
    info = whole.tcb_info
    level = rng.randrange(len(info.levels))
    field, value = rng.choice(
        (
            *_dated(rng, whole.moment),
            ("fmspc", bytes(6)),
            ("pce_id", b"\1\0"),
            ("tee", rng.choice(("SGX", "TDX", "sgx", ""))),
            ("version", rng.choice((1, 2, 3, 4))),
            ("tcb_type", 1),
            ("levels", rng.choice(((), info.levels[::-1], info.levels[1:], info.levels * 2))),
            (f"levels.{level}.status", rng.choice(STATUSES)),
            (f"levels.{level}.status", rng.choice(STATUSES)),
            (f"levels.{level}.pce_svn", rng.choice((0, 12, 13, 14, 65535))),
            (f"levels.{level}.components.{rng.randrange(16)}", rng.choice((0, 1, 2, 11, 12, 255))),
            (f"levels.{level}.components", tuple(rng.choice((0, 1)) for _ in range(rng.choice((15, 16, 17))))),
            (f"levels.{level}.tdx_components", rng.choice((None, (0,) * 16, (5, 0, 3) + (0,) * 12, (6,) * 16))),
            (f"levels.{level}.advisories", ("INTEL-SA-00999", "INTEL-SA-00002")),
            (
                "module",
                rng.choice((None, TdxModule(), TdxModule(mr_signer=bytes([1] * 48)), TdxModule(attributes=bytes([1] * 8)))),
            ),
            ("modules", _modules(rng, info)),
            ("rewrite", rewritten(rng)),
            ("rewrite", rewritten(rng)),
        )
    )
    return {f"tcb_info.{field}": value}


def _modules(rng: Random, info: TcbInfoFields) -> tuple[TdxModule, ...] | None:
    if not info.modules:
        return rng.choice((None, ()))
    (module,) = info.modules
    first, *others = module.levels
    return rng.choice(
        (
            None,
            (),
            (module, module),
            (replace(module, identity=rng.choice(("TDX_00", "TDX_02", "TDX_1", "tdx_01"))),),
            (replace(module, mr_signer=bytes([1] * 48)),),
            (replace(module, attributes=bytes([1] * 8)),),
            (replace(module, levels=(replace(first, status=rng.choice(STATUSES)), *others)),),
            (replace(module, levels=(replace(first, isv_svn=rng.randrange(4, 8)), *others)),),
            (replace(module, levels=()),),
        )
    )


def _identity(rng: Random, whole: WorldSetting) -> Changes:
    identity = whole.qe_identity
    level = rng.randrange(len(identity.levels))
    field, value = rng.choice(
        (
            *_dated(rng, whole.moment),
            ("identity", rng.choice(("QE", "TD_QE", "QVE", "QAE"))),
            ("version", rng.choice((1, 2, 3))),
            ("misc_select", b"\0\0\0\1"),
            ("misc_select_mask", bytes(4)),
            ("attributes", rng.randbytes(16)),
            ("attributes_mask", rng.choice((bytes(16), bytes([0xFF] * 16)))),
            ("mr_signer", bytes(32)),
            ("isv_prod_id", rng.randrange(4)),
            ("levels", rng.choice(((), identity.levels[::-1], identity.levels[1:], identity.levels * 2))),
            (f"levels.{level}.status", rng.choice(STATUSES)),
            (f"levels.{level}.isv_svn", rng.randrange(6, 10)),
            ("rewrite", rewritten(rng)),
        )
    )
    return {f"qe_identity.{field}": value}


def _dated(rng: Random, moment: datetime) -> list[tuple[str, object]]:
    near = moment + rng.randint(-2, 2) * SECOND
    return [("issue_date", near), ("next_update", near), ("evaluation_number", rng.choice((0, 1, 19, 21, 1 << 31)))]


def _signing(rng: Random, _: WorldSetting) -> Changes:
    field, value = rng.choice(
        (
            ("tcb_info_by", rng.choice(KEYS)),
            ("qe_identity_by", rng.choice(KEYS)),
            ("tcb_info_chain", _roles(rng)),
            ("qe_identity_chain", _roles(rng)),
            ("pck_crl_chain", _roles(rng)),
        )
    )
    return {f"signing.{field}": value}


def _roles(rng: Random) -> tuple[SimulatedRole, ...]:
    return tuple(rng.choices(tuple(SimulatedRole), k=rng.randrange(5)))


def _quote(rng: Random, whole: WorldSetting) -> Changes:
    quote = whole.quote
    piece = rng.choice(("auth_length", "authentication_length", "certification_type", "certification_length", "signature", "key"))
    field, value = rng.choice(
        (
            ("version", rng.choice((0, 1, 2, 3, 4, 5, 6))),
            ("attestation_key_type", rng.choice((0, 1, 3))),
            ("tee_type", rng.choice((0, 1, 0x80, 0x81))),
            ("qe_svn", rng.getrandbits(16)),
            ("vendor", bytes(16)),
            ("user_data", rng.randbytes(20)),
            ("body_type", rng.randrange(6)),
            ("signed_by", rng.choice(KEYS)),
            ("qe_signed_by", rng.choice(KEYS)),
            ("qe_report_data", rng.choice((bytes(64), rng.randbytes(64), _bound(whole) + rng.randbytes(32)))),
            ("authentication_data", rng.randbytes(rng.choice((0, 31, 32, 33, 64)))),
            ("certification_type", rng.randrange(9)),
            ("certification", b""),
            ("chain", _roles(rng)),
            ("chain", rng.sample(quote.chain, len(quote.chain))),
            ("outer_type", rng.randrange(8)),
            ("trailing", bytes(rng.choice((1, 70, 3065)))),
            ("overrides", ((piece, rng.choice((bytes(2), bytes(4), bytes(64), b"\xff" * 4, rng.randbytes(64)))),)),
        )
    )
    return {f"quote.{field}": tuple(value) if isinstance(value, list) else value}


def _bound(whole: WorldSetting) -> bytes:
    """The first half of the QE's report data as it should be."""
    key = raw_public(private_key(whole.seed, whole.quote.attestation_key))
    return hashlib.sha256(key + whole.quote.authentication_data).digest()


def _qe(rng: Random, _: WorldSetting) -> Changes:
    field, value = rng.choice(
        (
            ("mr_signer", bytes(32)),
            ("mr_enclave", bytes(32)),
            ("flags", rng.choice((0x11, 0x15, 0x17, 0x13, 0x05, 0))),
            ("misc_select", rng.choice((1, 0x1000000))),
            ("isv_prod_id", rng.randrange(4)),
            ("isv_svn", rng.randrange(6, 10)),
            ("cpu_svn", bytes(16)),
        )
    )
    return {f"quote.qe.{field}": value}


def _body(rng: Random, whole: WorldSetting) -> Changes:
    if isinstance(whole.quote.body, EnclaveReport):
        name, bits = rng.choice(
            (
                ("flags", rng.choice((0x05, 0x07, 0x15, 0x25, 0x04, 0, 0x05 | 1 << rng.randrange(64)))),
                ("xfrm", rng.choice((0, 3 | 1 << rng.randrange(64)))),
            )
        )
        return {f"quote.body.{name}": bits}
    field, value = rng.choice(
        (
            ("tee_tcb_svn", _tee_tcb_svn(rng)),
            ("tee_tcb_svn", _tee_tcb_svn(rng)),
            ("tee_tcb_svn_2", rng.choice((None, _tee_tcb_svn(rng), _tee_tcb_svn(rng)))),
            ("mr_signer_seam", bytes([1] * 48)),
            ("seam_attributes", bytes([1] + [0] * 7)),
            ("attributes", rng.choice((0, 1, 1 << 28 | 1, 1 << 29 | 1 << 28, 1 << 28 | 1 << rng.randrange(64)))),
            ("xfam", rng.choice((0, 3 | 1 << rng.randrange(64)))),
            ("mr_service_td", bytes([1] * 48)),
            ("report_data", rng.randbytes(64)),
        )
    )
    if field == "mr_service_td" and whole.quote.version < 5:
        return {"quote.body.mr_owner": value}
    return {f"quote.body.{field}": value}


def _tee_tcb_svn(rng: Random) -> bytes:
    return bytes([rng.choice((0, 3, 4, 5, 6)), rng.choice((0, 1, 1, 2)), rng.choice((2, 3, 4)), *[0] * 13])


FIELDS: tuple[Callable[[Random, WorldSetting], Changes], ...] = (
    *(_extension, _certificate, _list, _tcb_info, _tcb_info, _identity, _signing, _quote, _qe, _body),
)
