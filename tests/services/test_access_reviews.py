"""What is kept of the API server's answers about who may ask what."""

import asyncio
import tracemalloc
from typing import Any, cast

from donjon.formats.json import JsonObject
from donjon.metricsapi.callers import ApiUser
from donjon.services.metrics.rights import AccessReviews


class FakeReviews:
    """Says yes to everybody."""

    asked = 0

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        del path, body
        self.asked += 1
        return {"status": {"allowed": True}}


def user(number: int) -> ApiUser:
    return ApiUser(user="anna", groups=("devs",), extra=(("scopes", (f"{number}" + "\U0001f600" * 10_000,)),))


def test_users_of_whom_much_is_said_take_no_memory() -> None:
    reviews = FakeReviews()
    asking = AccessReviews(cast("Any", reviews), lambda: 1.0)

    async def story() -> None:
        for number in range(200):
            assert await asking.may(user(number % 100), {})

    tracemalloc.start()
    asyncio.run(story())
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reviews.asked == 100
    assert kept < 1 << 20
