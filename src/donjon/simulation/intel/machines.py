"""The PCK certificates of a make-believe machine, one for each TCB, and the answer in which Intel's service hands them out.

Source: Intel SGX PCS API v4, "Get PCK Certificates".
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding

from donjon.simulation.intel import certificates
from donjon.simulation.intel.certificates import pck_extension
from donjon.simulation.intel.setting import WorldSetting

Svns = tuple[tuple[int, ...], int]  # 16 SVNs, PCESVN

UNAVAILABLE = "Not available"


def tcbm(tcb: Svns) -> str:
    """A TCB as Intel's service writes it: CPUSVN and PCESVN, little-endian."""
    return (bytes(tcb[0]) + tcb[1].to_bytes(2, "little")).hex().upper()


def pck_certificate(setting: WorldSetting, tcb: Svns) -> bytes:
    """The certificate of the setting's machine for that TCB, in PEM; each has a key and a serial number of its own."""
    extension = replace(setting.extension, components=tcb[0], pce_svn=tcb[1])
    key_name = f"PCK {tcbm(tcb)}"
    plan = replace(setting.hierarchy.pck, key=key_name, serial=key_name, extensions=(pck_extension(extension.encode()),))
    return certificates.issue(plan, setting.seed).public_bytes(Encoding.PEM)


def pckcerts(setting: WorldSetting, tcbs: Iterable[Svns], unavailable: Iterable[Svns] = ()) -> bytes:
    """The answer: those that can be had, and those that cannot."""
    certificates_by_tcb = [(tcb, quote(pck_certificate(setting, tcb))) for tcb in tcbs]
    return json.dumps(
        [_entry(tcb, cert) for tcb, cert in [*certificates_by_tcb, *((tcb, UNAVAILABLE) for tcb in unavailable)]]
    ).encode()


def _entry(tcb: Svns, cert: str) -> dict[str, object]:
    components = {f"sgxtcbcomp{place:02d}svn": svn for place, svn in enumerate(tcb[0], start=1)}
    return {"tcb": {**components, "pcesvn": tcb[1]}, "tcbm": tcbm(tcb), "cert": cert}
