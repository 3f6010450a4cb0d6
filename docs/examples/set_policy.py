"""Who may set policies: gives the service a policy for SGX enclaves, as `donjon attestation rehearse` let its operator do.

    python docs/examples/set_policy.py rehearsal docs/examples/policies/enclave.policy

Microsoft's clients make the same token of a policy: a header that says that nobody signed it, and the text, encoded twice.
"""

import base64
import json
import ssl
import sys
from pathlib import Path
from urllib.request import Request, urlopen

folder, policy = Path(sys.argv[1]), Path(sys.argv[2])
service = sys.argv[3] if len(sys.argv) > 3 else "https://127.0.0.1:8081"
trust = ssl.create_default_context(cafile=folder / "authority.pem")
trust.load_cert_chain(folder / "operator.pem")  # Who asks.


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


unsecured, body = b'{"alg":"none"}', json.dumps({"AttestationPolicy": encoded(policy.read_bytes())})
token = f"{encoded(unsecured)}.{encoded(body.encode())}."
where = f"{service}/policies/SgxEnclave?api-version=2020-10-01"
request = Request(where, token.encode(), {"Content-Type": "text/plain"}, method="PUT")
with urlopen(request, context=trust) as answer:
    said = json.load(answer)["token"].split(".")[1]
print(base64.urlsafe_b64decode(said + "==").decode())
