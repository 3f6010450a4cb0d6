"""The attestation service by the chart on a real cluster: a pod attests, another checks the token, accounts have roles."""

import base64
import json
import secrets
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from testbed.layout import HOST_ADDRESS
from tests.adapters import fakepccs, postgres
from tests.adapters.fakepccs import Pccs
from tests.attestation.signers import DECADES, MADE
from tests.cluster.agents import NAMESPACE
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed
from tests.maa import attackers

from donjon.adapters import clock
from donjon.adapters.keys import fresh, signing
from donjon.maa import policies
from donjon.pki import pem
from donjon.pki.serving import ServingCertificate, issue
from donjon.signing.signer import Algorithm
from donjon.simulation.intel.setting import setting
from donjon.simulation.intel.world import World, make

Wait = Callable[..., Any]

HOST = f"donjon-attestation.{NAMESPACE}.svc"
ISSUER = f"https://{HOST}"
AUDIENCE = "donjon"
VERSION = {"api-version": "2022-08-01"}
REFUSING = 'version=1.0;authorizationrules{[type=="x-ms-sgx-svn", value>=60000] => permit();};issuancerules{};'
PERMITTING = "version=1.0;authorizationrules{=> permit();};issuancerules{};"

# What the two pods run, by the Python and the libraries of Donjon's own image.
ATTEST = """
import os, ssl, httpx2
trusting = ssl.create_default_context(cadata=os.environ["AUTHORITY"])
url = os.environ["ISSUER"] + "/attest/SgxEnclave?api-version=2022-08-01"
answer = httpx2.post(url, json={"quote": os.environ["QUOTE"]}, verify=trusting)
print(answer.json()["token"] if answer.status_code == 200 else answer.text)
"""
CHECK = """
import json, os, ssl, httpx2
from joserfc import jwt
from joserfc.jwk import KeySet
trusting = ssl.create_default_context(cadata=os.environ["AUTHORITY"])
keys = KeySet.import_key_set(httpx2.get(os.environ["ISSUER"] + "/certs", verify=trusting).json())
claims = jwt.decode(os.environ["TOKEN"], keys, algorithms=["RS256"]).claims
jwt.JWTClaimsRegistry(iss={"essential": True, "value": os.environ["ISSUER"]}).validate(claims)
print(json.dumps(claims))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The service in the cluster."""

    cluster: Cluster
    world: World
    serving: ServingCertificate

    @property
    def replicas(self) -> dict[str, str]:
        """The address of each pod by its name, without those on their way out."""
        pods = self.cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=attestation")["items"]
        return {
            each["metadata"]["name"]: each["status"].get("podIP", "")
            for each in pods
            if "deletionTimestamp" not in each["metadata"]
        }

    def call(self, address: str, method: str, path: str, token: str = "", **more: Any) -> httpx2.Response:
        """One replica, asked from outside by its own address and the service's name."""
        context = ssl.create_default_context(cadata=self.serving.authority.pem.decode())
        headers = {"Host": HOST, **({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
        with httpx2.Client(verify=context) as client:
            url = f"https://{address}:8443{path}"
            asked = client.build_request(method, url, params=VERSION, headers=headers, extensions={"sni_hostname": HOST}, **more)
            return client.send(asked)

    def attest(self, address: str) -> httpx2.Response:
        return self.call(address, "POST", "/attest/SgxEnclave", json={"quote": self.quote})

    def set_policy(self, address: str, text: str, token: str = "") -> httpx2.Response:
        body = policies.unsecured_token(text).encode()
        return self.call(address, "PUT", "/policies/SgxEnclave", token, content=body, headers={"content-type": "text/plain"})

    @property
    def quote(self) -> str:
        return base64.urlsafe_b64encode(self.world.quote.data).decode().rstrip("=")


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture(scope="module")
def owner(cluster: Cluster, release: Release) -> Iterator[str]:
    """The namespace of the service accounts of this module: `owner` may change policies, `other` may not."""
    del release
    name = f"test-attest-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    for account in ("owner", "other"):
        cluster.kubectl("create", "serviceaccount", account, "-n", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@contextmanager
def prepared(cluster: Cluster, owner: str) -> Iterator[tuple[World, ServingCertificate, str]]:
    """A make-believe Intel that answers on the nodes' network, the service's Secrets, and its settings."""
    world = make(setting(b"cluster", clock.moment().replace(microsecond=0)))
    serving = issue((HOST,), fresh(), clock.moment(), timedelta(days=1))
    key = attackers.key("cluster", Algorithm.RS256)
    certificate = pem.encode((signing.self_signed(key, ISSUER, MADE, DECADES),))
    with ExitStack() as stack:
        stack.enter_context(secret("attestation-tls", cluster, {"tls.crt": serving.certificate, "tls.key": serving.key}))
        stack.enter_context(secret("attestation-keys", cluster, {"one.pem": key + certificate}))
        stack.enter_context(secret("attestation-root", cluster, {"root.der": world.root}))
        upstream = stack.enter_context(fakepccs.serving(Pccs(fakepccs.answers(world)), host=HOST_ADDRESS))
        yield (
            world,
            serving,
            f"""\
upstream = "{upstream.address}"
unsafe-trust-root = "/etc/donjon-secrets/attestation-root/root.der"
[instances.cluster]
simulated-issuer = "{ISSUER}"
simulated-keys = "/etc/donjon-secrets/attestation-keys"
[kubernetes]
audience = "{AUDIENCE}"
[[callers]]
service-account = "{owner}/owner"
instances = ["cluster"]
roles = ["policy"]
""",
        )


@contextmanager
def secret(name: str, cluster: Cluster, files: dict[str, bytes]) -> Iterator[None]:
    data = {file: base64.b64encode(content).decode() for file, content in files.items()}
    metadata = {"name": name, "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    yield
    cluster.kubectl("delete", "secret", "-n", NAMESPACE, name)


def values(config: str, **more: object) -> str:
    port = int(config.partition("\n")[0].rstrip('"').rpartition(":")[2])
    chosen = {
        "enabled": True,
        "config": config,
        "tls": {"secretName": "attestation-tls"},
        "secrets": ["attestation-keys", "attestation-root"],
        "tokenReview": True,
        "networkPolicy": {"egressPorts": [6443, 443, 5432, port]},
        **more,
    }
    return f"attestation={json.dumps(chosen)}"


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def running(
    request: pytest.FixtureRequest, release: Release, cluster: Cluster, owner: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """One with SQLite on a volume, then two with PostgreSQL."""
    kept = on_a_volume if request.param == "sqlite" else in_postgresql
    with prepared(cluster, owner) as (world, serving, config), kept(cluster, tmp_path_factory) as more:
        release.upgrade(values(config, **more))
        yield Running(cluster=cluster, world=world, serving=serving)
        release.upgrade()


@contextmanager
def on_a_volume(cluster: Cluster, folders: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    folder = folders.mktemp("attestation")
    for each in (folder, *folder.parents):
        if each.owner() == "root" and each.is_relative_to(folders.getbasetemp().parent):
            each.chmod(0o755)
    shutil.chown(folder, 65532, 65532)
    name = f"attestation-{secrets.token_hex(3)}"
    capacity = {"storage": "1Gi"}
    volume = {
        "capacity": capacity,
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(folder), "type": "Directory"},
        "storageClassName": "",
        "claimRef": {"namespace": NAMESPACE, "name": name},
    }
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "volumeName": name,
        "resources": {"requests": capacity},
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": claim,
        },
    )
    yield {"database": {"existingClaim": name}}
    cluster.kubectl("delete", "pvc", "-n", NAMESPACE, name)
    cluster.kubectl("delete", "pv", name)


@contextmanager
def in_postgresql(cluster: Cluster, _: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    with (
        postgres.server(at=HOST_ADDRESS) as opened,
        secret("attestation-database", cluster, {"url": opened.database().encode()}),
    ):
        yield {
            "replicas": 2,
            "database": {"secretName": "attestation-database"},
        }


def ran(running: Running, name: str, script: str, wait_for: Wait, namespace: str, **environment: str) -> str:
    """What a pod of Donjon's image printed."""
    cluster = running.cluster
    image = cluster.get("deployment", "-n", NAMESPACE, "donjon-attestation")["spec"]["template"]["spec"]["containers"][0]["image"]
    address = cluster.get("service", "-n", NAMESPACE, "donjon-attestation")["spec"]["clusterIP"]
    known = {"AUTHORITY": running.serving.authority.pem.decode(), "ISSUER": ISSUER, **environment}
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", script],
        "env": [{"name": each, "value": value} for each, value in known.items()],
    }
    spec = {"restartPolicy": "Never", "containers": [container], "hostAliases": [{"ip": address, "hostnames": [HOST]}]}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}, namespace=namespace)

    def ended() -> bool:
        return cluster.get("pod", "-n", namespace, name)["status"]["phase"] in {"Succeeded", "Failed"}

    wait_for(ended, seconds=60, what=f"{name} has ended")
    return cluster.kubectl("logs", "-n", namespace, name).strip()


def test_a_pod_attests_and_another_checks_the_token(running: Running, namespace: str, wait_for: Wait) -> None:
    token = ran(running, "attests", ATTEST, wait_for, namespace, QUOTE=running.quote)
    assert token.count(".") == 2, token
    claims = json.loads(ran(running, "checks", CHECK, wait_for, namespace, TOKEN=token))
    assert claims["iss"] == ISSUER
    assert claims["x-ms-attestation-type"] == "sgx"
    assert claims["x-ms-sgx-mrsigner"] == running.world.quote.data[48 + 128 : 48 + 160].hex()


def test_policies_are_changed_by_the_account_that_has_the_role_and_by_nobody_else_and_hold_at_once_everywhere(
    running: Running, cluster: Cluster, owner: str
) -> None:
    addresses = list(running.replicas.values())
    first, last = addresses[0], addresses[-1]
    tokens = {
        account: cluster.kubectl("create", "token", account, "-n", owner, "--audience", AUDIENCE).strip()
        for account in ("owner", "other")
    }
    for_another = cluster.kubectl("create", "token", "owner", "-n", owner, "--audience", "another").strip()
    assert running.set_policy(first, REFUSING).status_code == 401
    assert running.set_policy(first, REFUSING, tokens["other"]).status_code == 403
    assert running.set_policy(first, REFUSING, for_another).status_code == 401
    assert running.attest(last).status_code == 200
    for _ in range(3):
        changed = running.set_policy(first, REFUSING, tokens["owner"])
        assert changed.status_code == 200, changed.text
        refused = running.attest(last)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "PolicyEvaluationError")
        assert running.set_policy(last, PERMITTING, tokens["owner"]).status_code == 200
        assert running.attest(first).status_code == 200


def test_a_killed_service_comes_back_with_its_policies_and_a_whole_audit(
    running: Running, cluster: Cluster, owner: str, wait_for: Wait
) -> None:
    token = cluster.kubectl("create", "token", "owner", "-n", owner, "--audience", AUDIENCE).strip()
    before = running.replicas
    assert running.set_policy(next(iter(before.values())), REFUSING, token).status_code == 200
    cluster.kubectl("delete", "pods", "-n", NAMESPACE, "--force", "--grace-period=0", *before)
    wait_for(lambda: not set(before) & set(running.replicas), what="the killed pods are gone")
    cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/donjon-attestation", "--timeout=60s")
    for address in running.replicas.values():
        assert running.attest(address).json()["error"]["code"] == "PolicyEvaluationError"
    database = () if len(before) > 1 else ("--database", "sqlite:////var/lib/donjon/attestation.db")
    verify = ("exec", "-n", NAMESPACE, "deployment/donjon-attestation", "--", "donjon", "audit", "verify", *database)
    said = cluster.kubectl(*verify)
    assert said, "the chain is whole"


def test_an_upgrade_to_faulty_settings_is_refused_fault_by_fault_and_touches_nothing(
    running: Running, release: Release, cluster: Cluster, owner: str
) -> None:
    before = running.replicas
    token = cluster.kubectl("create", "token", "owner", "-n", owner, "--audience", AUDIENCE).strip()
    assert running.set_policy(next(iter(before.values())), PERMITTING, token).status_code == 200
    generation = cluster.get("deployment", "-n", NAMESPACE, "donjon-attestation")["metadata"]["generation"]
    instance = '[instances.cluster]\nissuer = "https://attest.example"\nkeys = "/etc/donjon-secrets/{}"\n'
    faulty = f'rate-limt = 3\n{instance.format("attestation-keys")}mode = "x"'
    done = release.attempt(*release.change_command(f"attestation.config={json.dumps(faulty)}"))
    assert done.returncode != 0
    said = (done.stdout + done.stderr).splitlines()
    for fault in ("rate-limt in the file: no such setting; did you mean rate-limit?", "instances.cluster.mode: 'x', expected"):
        assert [line for line in said if fault in line], said
    absent = instance.format("absent")
    done = release.attempt(*release.change_command(f"attestation.config={json.dumps(absent)}"))
    assert done.returncode != 0
    assert "/etc/donjon-secrets/absent" in done.stdout + done.stderr
    assert cluster.get("deployment", "-n", NAMESPACE, "donjon-attestation")["metadata"]["generation"] == generation
    assert running.replicas == before
    assert [running.attest(address).status_code for address in before.values()] == [200] * len(before)


def test_the_service_is_ready_only_while_it_could_answer(running: Running) -> None:
    for address in running.replicas.values():
        with socket.create_connection((address, 9810), timeout=5) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 200 " in probe.recv(1000).split(b"\r\n")[0]
