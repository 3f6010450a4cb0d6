"""A relying party in Python: whether a token says that the enclave is the one that is meant, and if not, why not.

    python docs/examples/check_token.py TOKEN.jwt --issuer https://attest.example --mrsigner HEX --product-id 1 --min-svn 2

Needs joserfc. Keys come from the issuer that you name, never from where the token points (jku).
"""

import argparse
import json
import ssl
import sys
from pathlib import Path
from urllib.request import urlopen

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

options = argparse.ArgumentParser()
options.add_argument("token", type=Path)
options.add_argument("--issuer", required=True)
options.add_argument("--mrsigner", required=True)
options.add_argument("--product-id", type=int, required=True)
options.add_argument("--min-svn", type=int, required=True)
options.add_argument("--nonce", help="what you sent with the request, if you sent any")
options.add_argument("--authority", type=Path, help="who signed the certificate of the issuer's server, in PEM")
options.add_argument("--simulated", action="store_true", help="for rehearsals: nothing of it is real")
wanted = options.parse_args()

try:
    trust = ssl.create_default_context(cafile=wanted.authority)
    with urlopen(f"{wanted.issuer}/certs", context=trust, timeout=10) as answer:
        keys = KeySet.import_key_set(json.load(answer))
except (JoseError, KeyError, OSError, ValueError) as error:
    is_unknown = isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)
    hint = "; name who signed its certificate by --authority FILE" if is_unknown else ""
    sys.exit(f"refused: no keys of {wanted.issuer}: {error}{hint}")
try:
    token = jwt.decode(wanted.token.read_text().strip(), keys, algorithms=["RS256", "ES256"])
    rules = {"iss": {"essential": True, "value": wanted.issuer}, "exp": {"essential": True}}
    jwt.JWTClaimsRegistry(**rules).validate(token.claims)
except (JoseError, OSError, ValueError) as error:
    sys.exit(f"refused: {error}")

says = token.claims
checks = {
    "not an SGX enclave": says.get("x-ms-attestation-type") == "sgx",
    "its memory can be read (debug)": says.get("x-ms-sgx-is-debuggable") is False,
    "another signer": says.get("x-ms-sgx-mrsigner") == wanted.mrsigner,
    "another product": says.get("x-ms-sgx-product-id") == wanted.product_id,
    "too old": isinstance(says.get("x-ms-sgx-svn"), int) and says["x-ms-sgx-svn"] >= wanted.min_svn,
    "another nonce": wanted.nonce is None or says.get("nonce") == wanted.nonce,
    "simulated": wanted.simulated or says.get("x-donjon-simulated", False) is False,
    "judged as of another time": "x-donjon-judged-at" not in says,
}
if refusals := [reason for reason, good in checks.items() if not good]:
    sys.exit(f"refused: {', '.join(refusals)}")
print("accepted; what the enclave bound to its quote:", json.dumps(says.get("x-ms-runtime")))
