"""What instances keep and cannot use: told in the log once, and how many policies that are to whoever asks whether we are ready.

One instance's trouble leaves the others ready: it is a caveat, and no cause to send calls elsewhere.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.errors import DonjonError, Misconfigured
from donjon.findings import Finding, codes
from donjon.runtime.trouble import Caution
from donjon.services.attestation.maa.instances import Instance, faults, unreadable

LOOK_EVERY = 60.0  # seconds


class InstanceWatch:
    """Looks at all instances, also while nobody calls them."""

    def __init__(self, instances: Sequence[Instance], now: Callable[[], datetime], metrics: AttestationMetrics) -> None:
        """Signers' certificates are looked at as of `now`; when their last ends is told to the metrics."""
        self._instances, self._now, self._metrics = instances, now, metrics
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._cautions: dict[str, dict[str, Caution]] = {}

    def caveat(self) -> str:
        """How many policies cannot be applied, for strangers; nothing where all can."""
        number = sum(each.code == codes.NOT_APPLICABLE for findings in self._findings.values() for each in findings)
        return f"policies: {number} cannot be applied [{codes.NOT_APPLICABLE}]; the log says which" if number else ""

    async def look(self) -> None:
        """Tell the log what is new; where the database is away, that is told elsewhere."""
        for each in self._instances:
            try:
                state = await each.state(reread=True)
                findings = await faults(state, self._now())
            except Misconfigured as error:
                findings = (unreadable(each.name, error),)
            except DonjonError:
                continue
            else:
                if signers := state.trust.certificates:
                    self._metrics.policies_are_signed_until(each.name, max(signer.window.ends for signer in signers))
            self._tell(each.name, findings)

    async def look_now_and_then(self) -> None:
        """Look now, and once a minute, for as long as the service runs."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    def _tell(self, name: str, findings: tuple[Finding, ...]) -> None:
        self._findings[name] = findings
        by_subject = {each.subject: each for each in findings}
        cautions = self._cautions.setdefault(name, {})
        for subject in sorted({*by_subject, *cautions}):
            what = f"what an instance keeps, {subject.removeprefix(f'instance {name}').lstrip(': ') or 'a certificate'}"
            cautions.setdefault(subject, Caution(name)).tell(what, by_subject.get(subject))
