"""In the guest: checks by name, one line each, and processes that do what they are told."""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress

STOP_AT_FIRST = "stop"
SECONDS = 20.0


class Failed(Exception):
    """A check that failed where the first is the last."""


class Checks:
    """How many checks held."""

    def __init__(self, *, stops: bool) -> None:
        self.good = self.bad = 0
        self._stops = stops

    def check(self, name: str, holds: object, said: object = "") -> None:
        """One line: it holds, or it does not and what was seen."""
        if holds:
            self.good += 1
            print(f"ok   {name}", flush=True)
            return
        self.bad += 1
        print(f"FAIL {name}: {said}", flush=True)
        if self._stops:
            raise Failed

    def run(self, scenarios: Iterable[Callable[[], None]], settle: Callable[[], bool]) -> None:
        """All of them; one that breaks off is a failure, and leaves nothing behind for the next."""
        try:
            for scenario in scenarios:
                began = time.monotonic()
                self._try(scenario)
                Child.end_all()
                _close_all()
                self.check(f"{scenario.__name__} leaves nothing, after {time.monotonic() - began:.1f} s", settle())
        except Failed:
            pass
        print(f"RESULT {self.good} good, {self.bad} bad", flush=True)

    def _try(self, scenario: Callable[[], None]) -> None:
        try:
            scenario()
        except Failed:
            raise
        except BaseException:
            self.check(scenario.__name__, holds=False, said=" / ".join(traceback.format_exc().splitlines()[-5:]))


def eventually(holds: Callable[[], object]) -> bool:
    """Whether it comes to hold within seconds: a killed process's memory is given back after it is waited for."""
    end = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Child:
    """A forked process that builds something, says so, and then waits to be told or killed."""

    _all: list["Child"] = []  # noqa: RUF012 - those of this process.

    def __init__(self, body: Callable[["Child"], None]) -> None:
        told, self._tell = os.pipe()
        self._hear, said = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._tell)
            os.close(self._hear)
            self._tell, self._hear = said, told
            self._live(body)
        os.close(told)
        os.close(said)
        Child._all.append(self)
        self.wait()

    def _live(self, body: Callable[["Child"], None]) -> None:
        try:
            body(self)
            self.say()
            os.read(self._hear, 1)
        except BaseException:
            print(f"FAIL a child: {' / '.join(traceback.format_exc().splitlines()[-5:])}", flush=True)
        os._exit(0)

    def say(self, text: bytes = b".") -> None:
        """Speak to the other side."""
        os.write(self._tell, text)

    def wait(self) -> bytes:
        """What the other side said."""
        return os.read(self._hear, 4096)

    def tell(self) -> bytes:
        """Let it go on to its next word."""
        self.say()
        return self.wait()

    def kill(self) -> None:
        """End it; its memory goes with it."""
        if self in Child._all:
            Child._all.remove(self)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._tell)
            os.close(self._hear)

    @classmethod
    def end_all(cls) -> None:
        """End those that a scenario left."""
        for child in tuple(cls._all):
            with suppress(OSError):
                child.kill()


def _close_all() -> None:
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("/dev/sgx_"):
                os.close(int(name))
