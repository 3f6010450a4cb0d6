"""What is remembered of failures: how each ended, and nothing of the exchange that it was."""

import asyncio

import pytest

from donjon.collateral.plan import Absent
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.services.attestation.pccs.single_flight import Fetches


@pytest.mark.parametrize("kind", [Absent, Unavailable, Untrusted])
def test_a_failure_that_is_remembered_holds_nothing_of_its_trace(kind: type[DonjonError]) -> None:
    async def fetch() -> None:
        try:
            int("what the upstream said")
        except ValueError as error:
            raise kind("DJ281", "no answer") from error

    async def story() -> DonjonError | None:
        fetches: Fetches[None] = Fetches(lambda: 0.0)
        for _ in range(2):
            with pytest.raises(kind, match="no answer"):
                await fetches.wait("name", fetch)
        return fetches.failure("name")

    kept = asyncio.run(story())
    assert type(kept) is kind
    assert (kept.code, kept.__traceback__, kept.__context__, kept.__cause__) == ("DJ281", None, None, None)
