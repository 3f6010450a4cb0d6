"""Builds the component that admits by an enclave's identity, and says what it does while the program runs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.images.images import Images
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.services.admission.enclaves.credentials import registry_access
from donjon.services.admission.enclaves.gate import EnclaveGate
from donjon.services.admission.enclaves.inspection import Inspections
from donjon.services.admission.enclaves.memory import ImageMemory
from donjon.services.admission.enclaves.reading import ImageReading
from donjon.services.admission.enclaves.rulebook import Rulebook
from donjon.services.admission.enclaves.settings import EnclaveSettings
from donjon.services.admission.enclaves.warming import warm


class EnclaveComponent:
    """The gate, and what keeps its knowledge true."""

    def __init__(self, settings: EnclaveSettings, api: KubeApi, metrics: AdmissionMetrics) -> None:
        """Raises `Misconfigured` for files of the settings that are not what they should be."""
        self._api = api
        access = registry_access(settings)
        reading = ImageReading(images=Images(access), access=access, registries=settings.registries)
        self._rulebook, self._memory = Rulebook(api, clock.moment), ImageMemory(api, __version__)
        self._inspections = Inspections(reading, self._memory, clock.monotonic)
        self.gate = EnclaveGate(self._rulebook, self._inspections, metrics.count_enclaves)
        metrics.tell_images(lambda: len(self._memory), lambda: self._inspections.running, lambda: len(self._rulebook))

    def loops(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs as long as the program."""
        return self._rulebook.run(), self._memory.follow(), self._memory.write(), self._warm()

    def unready(self) -> str:
        """Why pods cannot be judged yet; empty where they can."""
        missing = (*self._rulebook.missing, *(() if self._memory.is_listed.is_set() else ("EnclaveImage",)))
        return f"not read yet: {', '.join(missing)} [DJ380]; the log says why" if missing else ""

    async def close(self) -> None:
        """End what is under way."""
        await self._inspections.close()

    async def _warm(self) -> None:
        await self._memory.is_listed.wait()
        await warm(self._api, self._inspections)
        await asyncio.Event().wait()
