"""The pools of one cluster of AKS: read, and made or changed. Nothing here deletes."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http import HTTPStatus
from threading import Thread
from typing import TypeVar

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ResourceModifiedError,
    ResourceNotFoundError,
    TooManyRedirectsError,
)
from azure.core.polling import LROPoller
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.containerservice.models import AgentPool

from donjon.adapters.azure.transport import BoundedTransport
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.formats.json import Json, JsonObject, at
from donjon.formats.words import recite

PATIENCE = 45 * 60.0  # seconds for one pool
LOOK_EVERY = 10.0  # seconds, where Azure does not say how often
STEP = 30.0  # seconds without a word of an answer
WHOLE = 20 * 60.0  # seconds for one answer, with all that is tried and waited for meanwhile
TRIES = 6  # of one question that is turned away for a while (429, 503), with the pauses that Azure asks for
BACKOFF = 0.8  # seconds, doubled with each of them, where Azure does not say how long
_CONFLICTS = frozenset({409, 412})  # of who changes it at the same time
MAX_WORDS = 500  # of an error of Azure's

T = TypeVar("T")

logging.getLogger("azure").addHandler(logging.NullHandler())  # Its warnings are in our errors: not on the terminal twice.


class AksPools:
    """Asks Resource Manager as who is signed in here."""

    def __init__(
        self,
        subscription: str,
        group: str,
        cluster: str,
        seconds: Callable[[], float],
        pause: Callable[[float], None],
        *,
        endpoint: str,
        credential: TokenCredential | None = None,
    ) -> None:
        """Without a credential, whatever `azure-identity` finds: the environment, a workload identity, `az login`."""
        self._group, self._cluster, self._seconds, self._pause = group, cluster, seconds, pause
        self._client = ContainerServiceClient(
            credential or DefaultAzureCredential(exclude_interactive_browser_credential=True),
            subscription,
            endpoint,
            credential_scopes=[f"{endpoint.rstrip('/')}/.default"],
            polling_interval=LOOK_EVERY,
            transport=BoundedTransport(endpoint, pause),
            retry_total=TRIES,
            retry_status=TRIES,
            retry_backoff_factor=BACKOFF,
            connection_timeout=STEP,
            read_timeout=STEP,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, pool: str) -> tuple[JsonObject, str] | None:
        """A pool's properties and its version (etag); `None` where there is none. Raises `Unavailable`, `Malformed`."""
        with _one_error(f"pool {pool}"):
            try:
                there = _in_time(lambda: self._client.agent_pools.get(self._group, self._cluster, pool))
            except ResourceNotFoundError as error:
                if _code(error) in {"ResourceNotFound", "AgentPoolNotFound", "NotFound"}:
                    self._require_cluster()
                    return None
                raise
            return _properties(there, pool)

    def put(self, pool: str, properties: JsonObject, version: str | None, progress: Callable[[str], None]) -> None:
        """Make it where there still is none (`None`), or change it where it still is as it was read; returns once it is so.

        Where Azure said no version (an empty one), it is changed whatever it is. Raises `Unavailable`, `Malformed`.
        """
        with _one_error(f"pool {pool}"):
            condition = MatchConditions.IfMissing if version is None else MatchConditions.IfNotModified if version else None
            poller = _in_time(
                lambda: self._client.agent_pools.begin_create_or_update(
                    self._group,
                    self._cluster,
                    pool,
                    AgentPool({"properties": properties}),
                    etag=version or None,
                    match_condition=condition,
                )
            )
            self._follow(poller, pool, progress)

    def resize(self, pool: str, before: int, after: int) -> None:
        """Have another number of nodes asked for, where it has that before, is scaled by nobody else and nobody changes it.

        Returns once Azure took it, not once it is so. Raises `Unavailable`, `Malformed`.
        """
        with _one_error(f"pool {pool}"):
            there = self.read(pool)
            version = _resizable_version(pool, there, before)
            wish = AgentPool(
                {"properties": {**(there[0] if there else {}), "count": after}}
            )  # The SDK leaves out what is read-only.
            _in_time(
                lambda: self._client.agent_pools.begin_create_or_update(
                    self._group,
                    self._cluster,
                    pool,
                    wish,
                    etag=version,
                    match_condition=MatchConditions.IfNotModified,
                    polling=False,
                )
            )

    def wait(self, pool: str, progress: Callable[[str], None]) -> None:
        """Until nobody changes it any more; raises `Unavailable` where that takes too long."""
        until = self._seconds() + PATIENCE
        while self._seconds() < until:
            there = self.read(pool)
            state = str(at(there[0], "provisioningState")) if there else "gone"
            progress(state)
            if state in {"Succeeded", "Failed", "Canceled", "gone"}:
                return
            self._pause(LOOK_EVERY)
        raise _too_long(pool)

    def _follow(self, poller: LROPoller[AgentPool], pool: str, progress: Callable[[str], None]) -> None:
        until = self._seconds() + PATIENCE
        while not poller.done():
            progress(str(poller.status()))
            if self._seconds() > until:
                raise _too_long(pool)
            poller.wait(LOOK_EVERY)
        poller.result()

    def _require_cluster(self) -> None:
        """Raises `Unavailable` DJ843 where it is the cluster that is not there."""
        try:
            _in_time(lambda: self._client.managed_clusters.get(self._group, self._cluster))
        except ResourceNotFoundError as error:
            where = f"cluster {recite(self._cluster)} of resource group {recite(self._group)}"
            raise Unavailable("DJ843", f"{where}: there is none in this subscription") from error


def _in_time(ask: Callable[[], T]) -> T:
    """Its answer, whole; raises `Unavailable` DJ846 where that takes too long, be it by a byte now and then."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for.
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return future.result(WHOLE)
    except TimeoutError as error:
        raise Unavailable("DJ846", f"Azure gave no whole answer within {WHOLE:g} seconds; apply again later") from error


def _resizable_version(pool: str, there: tuple[JsonObject, str] | None, before: int) -> str:
    """The version of a pool whose number of nodes may be changed by us; raises `Unavailable` where it may not."""
    properties, version = there or ({}, "")
    if properties.get("enableAutoScaling"):
        raise Unavailable("DJ854", f"pool {pool}: AKS' own autoscaler says how many nodes it has")
    if properties.get("count") != before:
        words = f"has {recite(str(properties.get('count')))} nodes, expected {before}"
        raise Unavailable("DJ844", f"pool {pool}: {words}: somebody else changed it")
    if not version:
        raise Unavailable("DJ854", f"pool {pool}: Azure says no version of it, so that two could change it at the same time")
    return version


def _too_long(pool: str) -> Unavailable:
    return Unavailable(
        "DJ846",
        f"pool {pool}: Azure was not done within {PATIENCE / 60:g} minutes; it may be still: apply again later, which waits",
    )


def _properties(there: AgentPool, pool: str) -> tuple[JsonObject, str]:
    whole: Json = there.as_dict()
    properties = at(whole, "properties")
    if not isinstance(properties, dict) or at(whole, "name") not in (None, pool):
        raise Malformed("DJ845", f"pool {pool}: Azure's answer is of another, or of none")
    if not isinstance(at(properties, "provisioningState"), str | None):
        raise Malformed("DJ845", f"pool {pool}: Azure's answer has a state that is no word")
    return properties, str(at(properties, "eTag") or at(whole, "eTag") or "")


@contextmanager
def _one_error(what: str) -> Iterator[None]:
    try:
        yield
    except DonjonError:
        raise
    except ClientAuthenticationError as error:
        raise _not_signed_in(what, error) from error
    except ResourceModifiedError as error:
        raise Unavailable("DJ844", f"{what}: somebody else changed it since it was read; apply again") from error
    except (DecodeError, TooManyRedirectsError) as error:
        raise Malformed("DJ845", f"{what}: Azure's answer cannot be read: {_words(error)}") from error
    except HttpResponseError as error:
        if error.status_code == HTTPStatus.UNAUTHORIZED:  # Of a long-running operation.
            raise _not_signed_in(what, error) from error
        code = "DJ844" if error.status_code in _CONFLICTS else "DJ847"
        raise Unavailable(code, f"{what}: Azure says {error.status_code} {_code(error)}: {_words(error)}") from error
    except AzureError as error:
        raise Unavailable("DJ846", f"{what}: Azure was not reached, or said no whole answer: {_words(error)}") from error
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:  # What the SDK makes of answers that are none.
        raise Malformed("DJ845", f"{what}: Azure's answer cannot be read: {_words(error)}") from error


def _not_signed_in(what: str, error: AzureError) -> Unavailable:
    return Unavailable("DJ840", f"{what}: nobody is signed in to Azure, or not long enough (az login): {_words(error)}")


def _code(error: HttpResponseError) -> str:
    return recite(error.error.code if error.error is not None and error.error.code else "")


def _words(error: Exception) -> str:
    return recite(str(getattr(error, "message", None) or error))[:MAX_WORDS]
