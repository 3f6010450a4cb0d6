"""The other side of `peer`: answers one JSON line with another, verified by dcap-qvl."""

import json
import sys

import dcap_qvl


def answer(line: str) -> dict[str, object]:
    asked = json.loads(line)
    quote = bytes.fromhex(asked["quote"])
    try:
        collateral = dcap_qvl.QuoteCollateralV3.from_json(asked["bundle"])
        if asked["root"]:
            report = dcap_qvl.verify_with_root_ca(quote, collateral, bytes.fromhex(asked["root"]), asked["moment"])
        else:
            report = dcap_qvl.verify(quote, collateral, asked["moment"])
    except (ValueError, RuntimeError, TypeError) as error:
        return {"refused": str(error)}
    return {"status": report.status, "advisories": list(report.advisory_ids), "ppid": report.ppid.hex()}


for asked in sys.stdin:
    sys.stdout.write(json.dumps(answer(asked)) + "\n")
    sys.stdout.flush()
