"""Pieces that are made in a thread of their own, a few ahead of who takes them.

Unpacking and digests let other threads run meanwhile: with two processors, looking at what comes takes hardly any time more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread

DEPTH = 4  # pieces
_TURN = 0.1  # seconds after which it is seen that nobody takes any more


@contextmanager
def ahead(pieces: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """The same pieces, within the block; what fails in making them is raised where they are taken."""
    queue: Queue[bytes | BaseException | None] = Queue(DEPTH)
    end = Event()
    thread = Thread(target=_fill, args=(queue, pieces, end), daemon=True)
    thread.start()
    try:
        yield _rest(queue)
    finally:
        end.set()
        thread.join()


def _fill(queue: Queue[bytes | BaseException | None], pieces: Iterator[bytes], end: Event) -> None:
    try:
        for piece in pieces:
            _put(queue, piece, end)
            if end.is_set():
                return
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the pieces are taken.
        _put(queue, error, end)
    else:
        _put(queue, None, end)


def _put(queue: Queue[bytes | BaseException | None], item: bytes | BaseException | None, end: Event) -> None:
    while not end.is_set():
        try:
            queue.put(item, timeout=_TURN)
        except Full:
            continue
        return


def _rest(queue: Queue[bytes | BaseException | None]) -> Iterator[bytes]:
    while isinstance(item := queue.get(), bytes):
        yield item
    if item is not None:
        raise item
