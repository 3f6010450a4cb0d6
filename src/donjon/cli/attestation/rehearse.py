"""What `donjon attestation rehearse` does: a make-believe Intel, whose root nothing trusts but this folder's settings.

Everything is made now and really signed: the platform's certificates, the collateral, a quote of an enclave and one of a trust
domain that hold the runtime data beside them, a key for tokens, a certificate for TLS on this machine alone, and one for who may
change the policies. In a cluster, a ConfigMap says what a pod needs of it: whom to trust for TLS, and evidence to show.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from donjon.adapters import clock
from donjon.adapters.keys import fresh, signing
from donjon.cli.collateral import carry
from donjon.cli.terminal import say, say_json
from donjon.collateral import archive, bundle, plan
from donjon.collateral.bundle import files
from donjon.collateral.plan import Answer, Channel
from donjon.errors import Unavailable
from donjon.formats import base64url
from donjon.formats.json import JsonObject
from donjon.pki import intel, serving
from donjon.sgx.platform import Ca, Platform, Tee
from donjon.signing.ring import Order
from donjon.signing.signer import Algorithm
from donjon.simulation.intel.setting import setting, with_changes
from donjon.simulation.intel.world import World, make

RUNTIME_DATA = b'{"says": "this key is the enclave\'s", "key": "..."}'
HOST, OPERATOR = "127.0.0.1", "operator"
FOR_PODS = ("authority.pem", "sgx.json", "tdx.json")
LIFETIME = timedelta(days=27)  # a day less than that of the collateral

_KINDS = {"sgx": ("v4 SGX", Tee.SGX), "tdx": ("v4 TDX 1.0", Tee.TDX)}
_SETTINGS = """\
# A rehearsal: the trust root is make-believe, and so are all platforms. Tokens say so.
listen = "{host}:{port}"
probes = "{host}:{probes}"
tls-dir = "{folder}/tls"
database = "sqlite:///{folder}/attestation.db"
mode = "offline"
unsafe-trust-root = "{folder}/root.der"
client-ca = "{folder}/{operator}.crt"
drain = 0

[instances.rehearsal]
simulated-issuer = "{issuer}"
simulated-keys = "{folder}/keys"

[[callers]]
certificate = "uri:{operator}"
instances = ["rehearsal"]
roles = ["policy", "draft"]
"""


def write(folder: Path, port: int, issuer: str | None) -> None:
    """All of it into that folder, which is there when all of it is; raises `Unavailable` DJ534 where it cannot be made.

    The issuer is the name in its tokens, by whose host the service is called; without one it is this machine's at the port.
    """
    where, called = folder.resolve(), issuer or f"https://{HOST}:{port}"
    half = where.with_name(f".{where.name}.half")  # What an end too soon leaves: the next one begins anew.
    try:
        if where.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(where))
        if half.exists():
            shutil.rmtree(half)
        half.parent.mkdir(parents=True, exist_ok=True)
        half.mkdir(mode=0o700)  # Ours, or an error: what another has made there would be that one's to change.
        (half / "tls").mkdir()
        (half / "keys").mkdir(mode=0o700)
        _write(half, _settings(where, port, called), called)
        half.rename(where)
    except OSError as error:
        raise Unavailable("DJ534", f"{error.filename or where}: {error.strerror or error}; expected a folder to make") from error


def tell(folder: Path) -> None:
    """Say how to go on, on this machine."""
    say(f"made {folder}: now run donjon attestation serve --config {folder}/attestation.toml")


def tell_pods(folder: Path) -> None:
    """Print the files that a pod needs to attest by the rehearsal in that folder, by their names.

    They are data and no objects of Kubernetes: who reads a pod's log would apply whatever its node's owner writes there.
    """
    try:
        files: JsonObject = {name: (folder / name).read_text(encoding="utf-8") for name in FOR_PODS}
    except OSError as error:
        raise Unavailable("DJ534", f"{error.filename}: {error.strerror}; expected a folder that a rehearsal made") from error
    say_json(files)


def _write(folder: Path, settings: str, issuer: str) -> None:
    seed, moment = secrets.token_bytes(32), clock.moment().replace(microsecond=0)
    digest = {"quote.body.report_data": hashlib.sha256(RUNTIME_DATA).digest() + bytes(32)}
    worlds = {name: make(with_changes(setting(seed, moment, kind), digest)) for name, (kind, _) in _KINDS.items()}
    order = Order(algorithm=Algorithm.RS256, issuer=issuer, begins=moment, ends=moment + LIFETIME)
    names = dict.fromkeys((urlsplit(issuer).hostname or HOST, HOST, "localhost"))
    tls = serving.issue(tuple(names), fresh(), moment, LIFETIME)
    operator = signing.fresh_file(replace(order, algorithm=Algorithm.ES256, issuer=OPERATOR))
    contents = {
        "root.der": worlds["sgx"].root,
        "authority.pem": tls.authority.pem,
        "tls/tls.crt": tls.certificate,
        "tls/tls.key": tls.key,
        "keys/one.pem": signing.fresh_file(order),
        "operator.pem": operator,
        "operator.crt": operator[operator.index(b"-----BEGIN CERTIFICATE-----") :],
        "attestation.toml": settings.encode(),
        "collateral.json": _collateral(worlds),
        **{f"{name}.json": _request(each) for name, each in worlds.items()},
        **{f"{name}.bin": each.quote.data for name, each in worlds.items()},
        **{f"{name}-collateral.json": bundle.encode(each.collateral) for name, each in worlds.items()},
    }
    for name, content in contents.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    carry.fill(folder / "collateral.json", f"sqlite:///{folder}/attestation.db", folder / "root.der")


def _settings(folder: Path, port: int, issuer: str) -> str:
    return _SETTINGS.format(host=HOST, port=port, probes=port + 1, folder=folder, operator=OPERATOR, issuer=issuer)


def _collateral(worlds: dict[str, World]) -> bytes:
    """The collateral of the make-believe Intel, as `donjon collateral export` writes it."""
    documents: dict[str, Answer] = {}
    for name, each in worlds.items():
        platform = Platform(fmspc=each.setting.extension.fmspc, ca=Ca.PROCESSOR, tee=_KINDS[name][1])
        parts, of = files(each.collateral), each.collateral
        answers = {
            "tcb_info": Answer(body=parts["tcb_info.json"], chain=of.tcb_info_issuer_chain),
            "qe_identity": Answer(body=parts["qe_identity.json"], chain=of.qe_identity_issuer_chain),
            "pck_crl": Answer(body=of.pck_crl, chain=of.pck_crl_issuer_chain),
            "root_ca_crl": Answer(body=of.root_ca_crl, chain=of.pck_crl_issuer_chain),
        }
        documents |= {request.name(): answers[part] for part, request in plan.requests(platform, Channel.STANDARD).items()}
    return archive.encode(archive.prove(documents, (), intel.anchor(worlds["sgx"].root)))


def _request(world: World) -> bytes:
    """The body of a request to attest."""
    runtime = {"data": base64url.encode(RUNTIME_DATA), "dataType": "JSON"}
    return json.dumps({"quote": base64url.encode(world.quote.data), "runtimeData": runtime}, indent=1).encode() + b"\n"
