"""An event loop whose time can be made to pass at once: a minute of trying again takes no minute of testing."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """While it warps it waits for nobody: the time that would have been waited is said to have passed."""

    def __init__(self) -> None:
        super().__init__()
        self.warps = False
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.warps or timeout is None:
            return super().select(timeout)
        ready = super().select(0.001)  # What comes over the loopback has come by then.
        if not ready:
            self.skipped += max(timeout, 0)
        return ready


class WarpLoop(asyncio.SelectorEventLoop):
    """The usual loop on that selector."""

    def __init__(self) -> None:
        self._warp = _Selector()
        super().__init__(self._warp)

    def time(self) -> float:
        return super().time() + self._warp.skipped

    async def pass_by(self, seconds: float) -> None:
        """Let that much time pass for everybody."""
        self._warp.warps = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._warp.warps = False


def run(story: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, on such a loop."""
    with asyncio.Runner(loop_factory=WarpLoop) as runner:
        runner.run(story)
