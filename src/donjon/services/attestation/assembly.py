"""The attestation service's larger parts, made as its settings say: keys, callers, TLS, and the cache with its routes."""

import logging
import os
import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial

from starlette.routing import Route

from donjon.adapters import clock
from donjon.adapters.http.folder import ClientAuthorities, FolderContexts
from donjon.adapters.keys import rings, stores
from donjon.adapters.keys.places import Place, SecretPlace
from donjon.adapters.keys.rings import Ring
from donjon.adapters.kubeapi.client import KubeApi, in_cluster
from donjon.adapters.kubeapi.reviews import TokenReviews
from donjon.adapters.kubeapi.secrets import ApiSecret
from donjon.adapters.logs import say
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.oidc.issuers import OidcIssuer
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.instances import InstanceTable
from donjon.adapters.storage.platforms import PlatformTable
from donjon.errors import DonjonError, Misconfigured
from donjon.runtime.callers import Doorkeeper
from donjon.runtime.credentials import Credentials
from donjon.runtime.rates import Rates
from donjon.services.attestation.maa.instances import Instance, InstanceIssuer
from donjon.services.attestation.pccs.cache import Cache, Upstream
from donjon.services.attestation.pccs.document_routes import Pccs
from donjon.services.attestation.pccs.pck_source import PckSource
from donjon.services.attestation.pccs.platform_routes import PlatformRoutes
from donjon.services.attestation.pccs.platforms import Platforms
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode, ClientCertificates
from donjon.services.attestation.turns import Turns
from donjon.signing.ring import DatedKey

LOG = logging.getLogger(__name__)


class Assembly:
    """Opens database, keys, issuers and the API server's client; the stack closes them."""

    def __init__(self, stack: AsyncExitStack, now: Callable[[], datetime]) -> None:
        self._stack, self._now = stack, now
        self._api: KubeApi | None = None
        self._owners: dict[str, str] = {}  # of keys, by their names

    def database(self, settings: AttestationSettings) -> Database:
        """The database, its tables brought up to date; raises what `Database.migrate` raises."""
        database = Database(settings.database)
        self._stack.callback(database.close)
        database.migrate()
        return database

    async def rings(self, settings: AttestationSettings) -> dict[str, Ring]:
        """The keys of each instance by its name.

        Raises what `rings.open_ring` and `stores.store` raise, and `Misconfigured` DJ624 where two have the same key.
        """
        return {each.name: await self._ring(each.keys, each.name) for each in settings.instances}

    async def audit(self, settings: AttestationSettings) -> Ring | None:
        """The keys that sign the heads of the audit, if any do; raises what `rings` raises."""
        return None if settings.audit_keys is None else await self._ring(settings.audit_keys, None)

    def callers(self, settings: AttestationSettings, rates: Rates | None) -> Doorkeeper:
        """Who lets callers through; raises `Misconfigured` DJ556, and DJ040 where there is no API server to ask."""
        access = settings.access
        issuers = {name: OidcIssuer(trusted, clock.monotonic) for name, trusted in access.issuers.items()}
        for each in issuers.values():
            self._stack.push_async_callback(each.close)
        reviews = None if access.audience is None else TokenReviews(self._server(), access.audience, clock.monotonic)
        return Doorkeeper(access.access, Credentials(issuers, reviews, self._now), rates)

    def instances(self, settings: AttestationSettings, keys: Mapping[str, Ring], table: InstanceTable) -> list[Instance]:
        """The instances, each with its keys, whose long work is done in turns."""
        turns = Turns()
        self._stack.callback(turns.close)
        issuers = [InstanceIssuer(url=each.issuer, ring=keys[each.name]) for each in settings.instances]
        return [Instance(*each, table, turns) for each in zip(settings.instances, issuers, strict=True)]

    async def _ring(self, place: Place, instance: str | None) -> Ring:
        tell = partial(_tell_keys, "audit keys" if instance is None else "signing keys", instance)
        check = partial(self._check_owner, "audit-keys" if instance is None else f"instance {instance}")
        return await rings.open_ring(stores.store(place, self._secret), self._now, tell, check)

    def _check_owner(self, owner: str, keys: tuple[DatedKey, ...]) -> None:
        """Raises `Misconfigured` DJ624 where two owners share a key: whoever may use it could speak for both."""
        for each in keys:
            if (other := self._owners.setdefault(each.signer.kid, owner)) != owner:
                raise Misconfigured("DJ624", f"{owner}: a key is that of {other}, too; expected keys of its own")

    def _secret(self, place: SecretPlace) -> ApiSecret:
        return ApiSecret(self._server(), place.path)

    def _server(self) -> KubeApi:
        """The API server of the cluster in which we run."""
        if self._api is None:
            self._api = KubeApi(in_cluster(os.environ))
            self._stack.push_async_callback(self._api.close)
        return self._api


class CacheParts:
    """The cache with its platforms and its routes, and what looks after them."""

    def __init__(
        self,
        settings: AttestationSettings,
        database: Database,
        upstream: Upstream | None,
        moment: Callable[[], datetime],
        metrics: AttestationMetrics,
    ) -> None:
        """What is stored is read, each document proved; raises `Unavailable` where it cannot be read."""
        on_demand = settings.mode is CacheMode.LAZY
        self.cache = Cache(
            store=CollateralTable(database),
            upstream=upstream,
            anchor=settings.anchor,
            moment=moment,
            seconds=clock.monotonic,
            chance=random.random,
            metrics=metrics,
            on_demand=on_demand or settings.mode is CacheMode.OFFLINE,
        )
        self.cache.load()
        self.platforms = Platforms(
            cache=self.cache,
            store=PlatformTable(database),
            source=None if upstream is None else PckSource(upstream, is_cache=settings.upstream is not None),
            on_demand=on_demand,
            moment=moment,
            seconds=clock.monotonic,
            chance=random.random,
            metrics=metrics,
        )
        self._settings, self._metrics, self._moment = settings, metrics, moment

    def routes(self, rates: Rates | None) -> list[Route]:
        """The routes of documents and of platforms."""
        settings = self._settings
        of_platforms = PlatformRoutes(
            self.cache,
            self.platforms,
            self._metrics,
            moment=self._moment,
            admin_token_hash=settings.admin_token_hash,
            user_token_hash=settings.user_token_hash,
            rates=rates,
        )
        documents = Pccs(self.cache, self._metrics, settings.admin_token_hash, self.platforms, rates)
        return [*documents.routes(), *of_platforms.routes()]

    async def look(self) -> None:
        """Fetch again what nobody asks for and what is due."""
        with suppress(DonjonError):  # Told where it happened.
            await self.cache.refresh(everything=False)
        with suppress(DonjonError):
            await self.platforms.look()

    async def close(self) -> None:
        """Cancel the fetches that are under way."""
        await self.platforms.close()
        await self.cache.close()


def contexts(settings: AttestationSettings) -> FolderContexts | None:
    """The TLS of the serving certificate's folder, `None` without one; raises what `FolderContexts` raises."""
    if settings.tls is None:
        return None
    required = settings.client_certificates is ClientCertificates.REQUIRED
    clients = None if settings.client_ca is None else ClientAuthorities(path=settings.client_ca, required=required)
    return FolderContexts(settings.tls, tell_certificate, clients)


def tell_certificate(error: DonjonError | None) -> None:
    """Tell the log that other files are in use, or why they are not."""
    if error is None:
        say(LOG, "certificate in use")
    else:
        say(LOG, "certificate not taken", level=logging.WARNING, code=error.code, error=error.message)


def _tell_keys(keys: str, instance: str | None, error: DonjonError | None) -> None:
    if error is not None:  # Of new ones `KeyWatch` tells.
        say(LOG, f"{keys} not taken", level=logging.WARNING, instance=instance, code=error.code, error=error.message)
