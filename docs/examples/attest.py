"""A relying party: shows evidence to the attestation service, checks the token by the published keys, and says what it claims.

    python docs/examples/attest.py rehearsal

FOLDER is what `donjon attestation rehearse FOLDER` made. Needs joserfc, or any other JOSE library.
"""

import json
import ssl
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from joserfc import jwt
from joserfc.jwk import KeySet

folder = Path(sys.argv[1])
service = sys.argv[2] if len(sys.argv) > 2 else "https://127.0.0.1:8081"


def asked(path: str, body: bytes | None = None) -> dict:
    request = Request(service + path, body, {"Content-Type": "application/json"})
    try:
        trust = ssl.create_default_context(cafile=folder / "authority.pem")
        with urlopen(request, context=trust) as answer:
            return json.load(answer)
    except HTTPError as error:
        sys.exit(f"{service}: {error}: {error.read().decode()}")
    except (OSError, ValueError) as error:
        sys.exit(f"{service}: {error}")


keys = KeySet.import_key_set(asked("/certs"))
for evidence, path in (("sgx", "SgxEnclave?api-version=2020-10-01"), ("tdx", "TdxVm?api-version=2025-06-01")):
    answer = asked(f"/attest/{path}", (folder / f"{evidence}.json").read_bytes())
    token = jwt.decode(answer["token"], keys, algorithms=["RS256"])  # Raises where none of the keys signed it.
    rules = {"iss": {"essential": True, "value": service}, "exp": {"essential": True}}
    jwt.JWTClaimsRegistry(**rules).validate(token.claims)
    print(json.dumps(token.claims, indent=1))
