"""Microsoft's clients in other languages: each runs through one story, told in a file, and says a line about each step.

The programs are `java/Conformance.java` and `javascript/conformance.js`; the clients that they call are unmodified.
"""

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conformance import kits
from tests.services.attesting import REAL_HOST, Service, owner

POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
DENIAL = "version=1.0; authorizationrules{=> deny();};"
ADDED = "another"  # the name of the certificate that is added and removed
FORMS = ("sync", "async")
"""Those of the Java client."""

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


def java(stories: Sequence[dict[str, Any]], service: Service, folder: Path) -> list[Lines]:
    """What the client says in each story, by the names of its steps; one machine tells them all, for its start is long."""
    home, trust = kits.home(kits.JAVA), folder / "trust.p12"
    imported = ("-importcert", "-noprompt", "-alias", "tests", "-file", service.authority)
    kits.run(folder, "keytool", *imported, "-keystore", str(trust), "-storetype", "PKCS12", "-storepass", "password")
    trusting = (f"-Djavax.net.ssl.trustStore={trust}", "-Djavax.net.ssl.trustStorePassword=password")
    program = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", *trusting, "-cp", f"{home}/classes:{home}/jars/*", "Conformance")
    files = [_written(folder / f"{number}.json", story) for number, story in enumerate(stories)]
    _run(("java", *program, *map(str, files)), None)
    return [_lines(file.with_name(f"{file.name}.lines").read_text(encoding="utf-8")) for file in files]


def javascript(story: dict[str, Any], service: Service, folder: Path) -> Lines:
    """What the client says, by the names of its steps."""
    file = _written(folder / "story.json", story)
    environment = {"NODE_EXTRA_CA_CERTS": service.authority, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return _lines(_run(("node", f"{kits.home(kits.JAVASCRIPT)}/conformance.js", str(file)), environment))


def _written(file: Path, story: dict[str, Any]) -> Path:
    file.write_text(json.dumps(story), encoding="utf-8")
    return file


def _run(command: Sequence[str], environment: dict[str, str] | None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _lines(text: str) -> Lines:
    found = [json.loads(line) for line in text.splitlines()]
    return {each.pop("name"): each for each in found}
