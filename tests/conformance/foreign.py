"""Microsoft's clients in other languages: each runs through one story, told in a file, and says a line about each step.

The programs are `java/Conformance.java` and `javascript/conformance.js`; the clients that they call are unmodified.
"""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.conformance import kits
from tests.services.attesting import REAL_HOST, Service, owner

POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
DENIAL = "version=1.0; authorizationrules{=> deny();};"
ADDED = "another"  # the name of the certificate that is added and removed
STORIES = ("java sync", "java async", "javascript")

Lines = dict[str, dict[str, Any]]


def story(service: Service, instance: str, evidence: dict[str, bytes], data: bytes) -> dict[str, Any]:
    """What a client is to do with an instance; where that is Isolated, as its owner."""
    key, certificate = owner()
    return {
        "url": f"{service.address}/{instance}",
        "issuer": f"{REAL_HOST}/{instance}",
        **{name: base64.b64encode(each).decode() for name, each in evidence.items()},
        "data": base64.b64encode(data).decode(),
        "policy": POLICY,
        "denial": DENIAL,
        "signer": {"key": key, "certificate": certificate} if instance == "iso" else None,
        "added": owner(ADDED)[1],
    }


def lines(client: str, said: dict[str, Any], service: Service, folder: Path) -> Lines:
    """What the client says, by the names of its steps."""
    file = folder / "story.json"
    file.write_text(json.dumps({**said, "form": client.partition(" ")[2]}), encoding="utf-8")
    command, environment = (_java if client.startswith("java ") else _javascript)(service, folder)
    done = subprocess.run([*command, file], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {each.pop("name"): each for each in found}


def _java(service: Service, folder: Path) -> tuple[list[str], dict[str, str] | None]:
    home, trust = kits.home(kits.JAVA), folder / "trust.p12"
    if not trust.exists():
        imported = ("-importcert", "-noprompt", "-alias", "tests", "-file", service.authority)
        kits.run(folder, "keytool", *imported, "-keystore", str(trust), "-storetype", "PKCS12", "-storepass", "password")
    trusting = [f"-Djavax.net.ssl.trustStore={trust}", "-Djavax.net.ssl.trustStorePassword=password"]
    return [
        "java",
        "-Xshare:auto",
        "-XX:TieredStopAtLevel=1",
        *trusting,
        "-cp",
        f"{home}/classes:{home}/jars/*",
        "Conformance",
    ], None


def _javascript(service: Service, _: Path) -> tuple[list[str], dict[str, str] | None]:
    home = kits.home(kits.JAVASCRIPT)
    return ["node", f"{home}/conformance.js"], {"NODE_EXTRA_CA_CERTS": service.authority, "PATH": "/usr/local/bin:/usr/bin:/bin"}
