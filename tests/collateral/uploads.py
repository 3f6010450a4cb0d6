"""What Intel's administration tool would write about a make-believe world."""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from tests.collateral.machines import ENCRYPTED_PPID, HIGH, LOW, issuers

from donjon.collateral.bundle import files
from donjon.formats.json import JsonObject
from donjon.simulation.intel.machines import Svns, pckcerts
from donjon.simulation.intel.world import World

QE_ID = "aa" * 16


def upload(made: World, tcbs: Iterable[Svns] = (HIGH, LOW), spaces: bool = True) -> bytes:  # noqa: FBT001, FBT002 - of one test.
    """All of it; with spaces, as Python's own writer leaves them, or without."""
    return json.dumps(whole(made, tcbs), separators=None if spaces else (",", ":")).encode()


def whole(made: World, tcbs: Iterable[Svns] = (HIGH, LOW)) -> JsonObject:
    """The same as an object."""
    parts, ca = files(made.collateral), made.setting.signing.pck_crl_chain[0].name.removesuffix("_CA")
    info = json.loads(parts["tcb_info.json"])
    chain = quote(issuers(made))
    name: JsonObject = {"qe_id": QE_ID, "pce_id": "0000"}
    return {
        "platforms": [{**name, "cpu_svn": "", "pce_svn": "", "enc_ppid": ENCRYPTED_PPID.hex(), "platform_manifest": ""}],
        "collaterals": {
            "version": 4,
            "pck_certs": [{**name, "enc_ppid": "", "platform_manifest": "", "certs": json.loads(pckcerts(made.setting, tcbs))}],
            "tcbinfos": [{"fmspc": made.setting.extension.fmspc.hex(), "sgx_tcbinfo": info, "sgx_tcbinfo_early": info}],
            "pckcacrl": {"processorCrl" if ca == "PROCESSOR" else "platformCrl": made.pck_crl.hex()},
            "qeidentity": parts["qe_identity.json"].decode(),
            "certificates": {
                "SGX-PCK-Certificate-Issuer-Chain": {ca: chain},
                "TCB-Info-Issuer-Chain": quote(made.tcb_info_issuer_chain),
                "SGX-Enclave-Identity-Issuer-Chain": quote(made.qe_identity_issuer_chain),
            },
            "rootcacrl": made.root_ca_crl.hex(),
            "rootcacrl_cdp": "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
        },
    }


def changed(told: JsonObject, changes: Mapping[str, object]) -> bytes:
    """With these members changed, each by its dotted path; `None` takes one away."""
    for path, value in changes.items():
        *above, last = path.split(".")
        place: object = told
        for each in above:
            place = place[int(each)] if isinstance(place, list) else place[each]  # type: ignore[index] # As the path says.
        if value is None:
            del place[last]  # type: ignore[attr-defined] # 〃
        else:
            place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index] # 〃
    return json.dumps(told).encode()
