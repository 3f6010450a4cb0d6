"""The cache of collateral as a part of the service: documents, platforms, their routes, and looking after them."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from starlette.routing import Route

from donjon.adapters import clock
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.platforms import PlatformTable
from donjon.errors import DonjonError
from donjon.runtime.rates import Rates
from donjon.services.attestation.pccs.cache import Cache, Upstream
from donjon.services.attestation.pccs.document_routes import Pccs
from donjon.services.attestation.pccs.pck_source import PckSource
from donjon.services.attestation.pccs.platform_routes import PlatformRoutes
from donjon.services.attestation.pccs.platforms import Platforms
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode


class Caching:
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
        self._settings, self._metrics, self._at = settings, metrics, moment

    def routes(self, rates: Rates | None) -> list[Route]:
        """The routes of documents and of platforms."""
        settings = self._settings
        of_platforms = PlatformRoutes(
            self.cache,
            self.platforms,
            self._metrics,
            moment=self._at,
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
