"""Read things of a cluster with the kubeconfig that kubectl would take, through lightkube.

Raises `Misconfigured` DJ040 for a kubeconfig that cannot be used, `Unavailable` DJ041 for what the API server refuses or does not
answer. Left out: `auth-provider` and exec plugins of `client.authentication.k8s.io/v1`, which lightkube does not know.
"""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2
from lightkube import Client, KubeConfig
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, SingleConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.types import PatchType

from donjon.adapters.transport.client import AS_IT_IS, LIBRARY_ERRORS
from donjon.errors import Misconfigured, Unavailable
from donjon.formats.json import JsonObject, at

T = TypeVar("T")

DEFAULT = Path("~/.kube/config")
PAGE = 500  # objects of one page of a list
EVERYWHERE = "*"
HTTP_BAD_REQUEST, HTTP_UNAUTHORIZED, HTTP_NOT_FOUND = 400, 401, 404
TIMEOUT = 10.0  # seconds, for each part of an answer
LONGEST_TEXT = 10_000  # bytes of an answer that is text
MAX_REASON = 1_000  # characters of why there is no answer
ALTOGETHER = 300.0  # seconds, for one question: a list may have many pages, and a login program may wait for a person

MAX_BEHIND = 8
"""Questions that took too long and still have not ended, behind which no more are asked."""
_ASKER = "asks the cluster: "
"""How the names of threads begin that ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of Kubernetes object, as its API group names it."""

    group: str
    kind: str
    plural: str
    namespaced: bool = True
    version: str = "v1"


SECRET = Resource(group="", kind="Secret", plural="secrets")
ACCOUNT = Resource(group="", kind="ServiceAccount", plural="serviceaccounts")
POD = Resource(group="", kind="Pod", plural="pods")
EVENT = Resource(group="", kind="Event", plural="events")
NODE = Resource(group="", kind="Node", plural="nodes", namespaced=False)
JOB = Resource(group="batch", kind="Job", plural="jobs")
CRON_JOB = Resource(group="batch", kind="CronJob", plural="cronjobs")
DEPLOYMENT = Resource(group="apps", kind="Deployment", plural="deployments")
REPLICA_SET = Resource(group="apps", kind="ReplicaSet", plural="replicasets")
STATEFUL_SET = Resource(group="apps", kind="StatefulSet", plural="statefulsets")
DAEMON_SET = Resource(group="apps", kind="DaemonSet", plural="daemonsets")
CLUSTER_ROLE, CLUSTER_ROLE_BINDING = (
    Resource(group="rbac.authorization.k8s.io", kind=kind, plural=f"{kind.lower()}s", namespaced=False)
    for kind in ("ClusterRole", "ClusterRoleBinding")
)
VALIDATING_POLICY, VALIDATING_BINDING, MUTATING_POLICY, MUTATING_BINDING, MUTATING_WEBHOOK = (
    Resource(group="admissionregistration.k8s.io", kind=kind, plural=plural, namespaced=False)
    for kind, plural in (
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    )
)


class ClusterRefusal(Unavailable):
    """The API server's own no; its status says which."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__("DJ041", message)
        self.status = status
        self.missing = status == HTTP_NOT_FOUND
        self.unauthorized = status == HTTP_UNAUTHORIZED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    is_json: bool
    text: str


class UserCluster:
    """One cluster, and the namespace that its kubeconfig names; nothing but `write` changes anything."""

    def __init__(self, config: SingleConfig) -> None:
        self.namespace = config.namespace
        self._config = config
        try:
            self._client: Any = Client(config=config, timeout=httpx2.Timeout(TIMEOUT))
        except Exception as error:  # Certificates that are none come as errors of many libraries.
            raise Misconfigured(
                "DJ040", f"kubeconfig {config.fname or ''}: context {config.context_name}: {_text(error)}"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, resource: Resource, name: str, namespace: str) -> JsonObject | None:
        """A thing; `None` where there is none of that name."""
        what = f"get {resource.plural} {name}"
        try:
            return _call(what, lambda _: cast("JsonObject", dict(self._client.get(_class(resource), name, namespace=namespace))))
        except ClusterRefusal as error:
            if error.missing:
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str = EVERYWHERE,
        *,
        selector: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> tuple[JsonObject, ...]:
        """All things of a kind, in one namespace or everywhere, that a field selector finds and that have these labels."""
        where = {"namespace": namespace} if resource.namespaced else {}
        query = {name: dict(each) for name, each in (("fields", selector), ("labels", labels)) if each}

        def read(over: threading.Event) -> tuple[JsonObject, ...]:
            items = self._client.list(_class(resource), chunk_size=PAGE, **where, **query)
            # In lists the API server leaves out what all items share.
            return tuple(
                cast("JsonObject", {**each, "kind": resource.kind}) for each in takewhile(lambda _: not over.is_set(), items)
            )

        return _call(f"list {resource.plural}", read)

    def attempt(self, resource: Resource, namespace: str, thing: JsonObject) -> JsonObject:
        """A new thing as the server would make it, by a dry run; raises `ClusterRefusal` with the words of whoever refuses it."""
        lightkube_object = _class(resource).from_dict(thing)
        create = self._client.create
        return _call(
            f"try {resource.plural}",
            lambda _: cast("JsonObject", dict(create(lightkube_object, namespace=namespace, dry_run=True))),
        )

    def get_json(self, path: str) -> JsonObject:
        """What the server answers there, a JSON object; such as /version."""
        what = f"get {path}"
        answer = _call(what, lambda over: self._read(path, over))
        if answer.status >= HTTP_BAD_REQUEST:
            raise ClusterRefusal(f"{what}: {answer.status} {answer.text}"[:MAX_REASON], answer.status)
        return _call(what, lambda _: cast("JsonObject", dict(json.loads(answer.text))))

    def pod_text(self, namespace: str, pod: str, port: int, path: str, *, seconds: float, most: int = LONGEST_TEXT) -> str:
        """What a pod says at a path, whatever its status, asked through the API server; it may take so many seconds in all.

        The pod's words are no more than `most` bytes, and not to be trusted. An error in JSON is the API server's own.
        """
        what = f"ask pod {namespace}/{pod}"
        place = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
        answer = _call(what, lambda over: self._read(place, over, most), seconds)
        if answer.status >= HTTP_BAD_REQUEST and answer.is_json:
            raise ClusterRefusal(f"{what}: {answer.status} {answer.text}"[:MAX_REASON], answer.status)
        return answer.text

    def _read(self, path: str, over: threading.Event, most: int = LONGEST_TEXT) -> _Answer:
        """What the server answers there, read no further when nobody waits for it: a pod may drip for hours."""
        parameters = client_adapter.ConnectionParams(timeout=httpx2.Timeout(TIMEOUT))
        with client_adapter.Client(self._config, parameters) as client, client.stream("GET", path, headers=AS_IT_IS) as response:
            body = b""
            for part in response.iter_raw():
                body += part
                if len(body) >= most or over.is_set():
                    break
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return _Answer(status=response.status_code, is_json=is_json, text=body[:most].decode(errors="replace"))

    def write(self, resource: Resource, namespace: str, thing: JsonObject) -> None:
        """Make a thing, or replace it where its metadata say of which version."""
        verb = self._client.create if at(thing, "metadata", "resourceVersion") is None else self._client.replace
        lightkube_object = _class(resource).from_dict(thing)
        _call(f"write {resource.plural}", lambda _: verb(lightkube_object, namespace=namespace))

    def patch(self, resource: Resource, name: str, change: JsonObject, *, status: bool = False) -> None:
        """Change a thing, or its status: members of `change` replace those that stand there, `None` takes them away.

        Of a status, lists of conditions are merged by their types (a strategic merge patch).
        """
        kind = _class(resource)
        target, patch_type = (kind.Status, PatchType.STRATEGIC) if status else (kind, PatchType.MERGE)
        _call(f"patch {resource.plural} {name}", lambda _: self._client.patch(target, name, change, patch_type=patch_type))


def open_cluster(environment: Mapping[str, str], *, kubeconfig: Path | None, context: str | None) -> UserCluster:
    """The cluster that kubectl would speak with: the file named, then KUBECONFIG, then ~/.kube/config, then a pod's account."""
    try:
        config = _config(_files(environment, kubeconfig)).get(context)
    except Exception as error:  # What is no kubeconfig fails in lightkube in many ways: YAML, types, names that lead nowhere.
        raise Misconfigured("DJ040", f"kubeconfig: {_text(error)}") from error
    if config is None:
        raise Misconfigured("DJ040", "kubeconfig: it names no context")
    return UserCluster(config)


def _files(environment: Mapping[str, str], kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        return [kubeconfig]
    paths = [Path(each) for each in environment.get("KUBECONFIG", "").split(":") if each]
    usual = DEFAULT.expanduser()
    return [each for each in paths if each.is_file()] or paths[:1] or ([usual] if usual.is_file() else [])


def _config(files: list[Path]) -> KubeConfig:
    """The files as one, as kubectl merges them: what an earlier one says stands."""
    if not files:
        if not Path(SERVICE_ACCOUNT, "token").exists():
            raise ConfigError(f"none: no --kubeconfig, no KUBECONFIG, no {DEFAULT}")
        return KubeConfig.from_service_account()
    whole, *others = map(KubeConfig.from_file, files)
    for other in others:
        whole.clusters = {**other.clusters, **whole.clusters}
        whole.contexts = {**other.contexts, **whole.contexts}
        whole.users = {**other.users, **whole.users}
        whole.current_context = whole.current_context or other.current_context
    return whole


def _call(what: str, ask: Callable[[threading.Event], T], seconds: float | None = None) -> T:
    try:
        return _in_time(what, ask, ALTOGETHER if seconds is None else seconds)
    except ApiError as error:
        raise ClusterRefusal(f"{what}: {error.status.code} {_text(error)}", error.status.code or 0) from error
    except httpx2.TimeoutException as error:  # Whose own words may be the TLS library's.
        raise Unavailable("DJ041", f"{what}{_place(error)}: no answer within {TIMEOUT:g} s") from error
    except LIBRARY_ERRORS as error:  # lightkube lets them through.
        raise Unavailable("DJ041", f"{what}{_place(error)}: {_text(error)}") from error
    except ConfigError as error:  # A login program that the kubeconfig names could not log in.
        raise Misconfigured("DJ040", f"kubeconfig: {_text(error)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:  # Nonsense for an answer, or a login program that is not there.
        raise Unavailable("DJ041", f"{what}: {_text(error)}") from error


def _place(error: Exception) -> str:
    """Which server did not answer, where the error's request says it: the kubeconfig may not be the one that was meant."""
    try:
        url = error.request.url if isinstance(error, httpx2.RequestError) else None
    except RuntimeError:  # It has none.
        return ""
    return "" if url is None else f" at {url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _in_time(what: str, ask: Callable[[threading.Event], T], seconds: float) -> T:
    """What it returns or raises, unless it takes too long.

    Whoever then still asks is left behind, and is told by the event that nobody waits any more. It may be deaf to that where a
    server is silent or drips, and ends with the program: one that asks again and again is not to pile them up.
    """
    if sum(each.name.startswith(_ASKER) for each in threading.enumerate()) >= MAX_BEHIND:
        raise Unavailable("DJ041", f"{what}: not asked, since {MAX_BEHIND} questions of before are without a whole answer")
    over = threading.Event()
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask(over))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread.
            answer.set_exception(error)

    threading.Thread(target=work, name=f"{_ASKER}{what}", daemon=True).start()
    if not wait((answer,), seconds).done:
        over.set()
        raise Unavailable("DJ041", f"{what}: no whole answer within {seconds:g} s")
    return answer.result()


@cache  # lightkube lets a class of a kind be made once.
def _class(resource: Resource) -> Any:
    create = create_namespaced_resource if resource.namespaced else create_global_resource
    return create(resource.group, resource.version, resource.kind, resource.plural)


def _text(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:MAX_REASON]
