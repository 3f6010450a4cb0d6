"""The other side of `test_pccs`: dcap-qvl's own client fetches from a service and verifies with what it got."""

import asyncio
import json
import sys
from pathlib import Path

import dcap_qvl


def main(address: str, quote: str, moment: str, root: str) -> None:
    raw = Path(quote).read_bytes()
    collateral = asyncio.run(fetch(address, raw))
    if root:
        report = dcap_qvl.verify_with_root_ca(raw, collateral, Path(root).read_bytes(), int(moment))
    else:
        report = dcap_qvl.verify(raw, collateral, int(moment))
    sys.stdout.write(json.dumps({"status": report.status, "collateral": json.loads(collateral.to_json())}) + "\n")
    sys.stdout.flush()


async def fetch(address: str, raw: bytes) -> dcap_qvl.QuoteCollateralV3:
    return await dcap_qvl.get_collateral(address, raw)


main(*sys.argv[1:])
