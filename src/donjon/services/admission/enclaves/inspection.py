"""From the name of an image to what it holds, within a time that somebody waits: what is not done by then goes on for the next.

Bounded in all that a tenant can make many: images that are looked into at once, in all and of one namespace; names and images
that are remembered; and how often a registry that fails is asked.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from donjon.enclave.record import InspectedImage
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.images.image import Image
from donjon.images.references import parse_reference

LOG = logging.getLogger(__name__)

Read = TypeVar("Read")
Answer = TypeVar("Answer")

ASKERS = 8  # threads that ask registries what a name stands for, and for signatures
INSPECTORS = 2  # threads that look into images, each with one file of it in memory
MAX_RUNNING = 64  # images that are asked for or looked into at once, or wait for a thread
MAX_OF_NAMESPACE = 8  # of these, for pods of one namespace
MAX_NAMES = 4096  # of which it is remembered what they stand for
NAME_GOOD = 30.0  # seconds that a tag is taken to stand for what it stood for; a digest stands for itself
PROOF_WITHIN = 1.5  # seconds that an image's signatures may take
FAILURE_GOOD = 5.0  # seconds until somebody that failed is asked again
AGAIN_IN = 10  # seconds after which a pod may come again, as the answer says


class ReadsImages(Protocol):
    """Asks registries and looks into images, each call as long as it takes."""

    def resolve(self, image: str) -> Image:
        """The image that a name stands for now."""

    def inspect(self, image: Image) -> InspectedImage:
        """All that the image holds of enclaves."""

    def prove(self, image: str, digests: Collection[str], pem: str) -> None:
        """Prove that a key signed one of these digests of it; raises where that cannot be."""


class KeepsImages(Protocol):
    """Remembers what was found."""

    def get(self, digest: str) -> InspectedImage | None:
        """What is known of a digest."""

    def keep(self, image: InspectedImage, *, share: bool) -> None:
        """Remember it, and let the others know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedName:
    """What a name stands for."""

    digest: str  # of the manifest for this platform, by which what it holds is remembered
    named_digest: str  # of what the name stands for, which its owner signs


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedInto:
    """An image that was looked into."""

    name: ResolvedName
    contents: InspectedImage


class Inspections:
    """Looks into images for one replica; `close` it."""

    def __init__(self, reader: ReadsImages, answer: KeepsImages, monotonic: Callable[[], float]) -> None:
        self._reader, self._memory, self._monotonic = reader, answer, monotonic
        self._askers = ThreadPoolExecutor(ASKERS, thread_name_prefix="asking")
        self._inspectors = ThreadPoolExecutor(INSPECTORS, thread_name_prefix="inspection")
        self._names: OrderedDict[str, tuple[float, ResolvedName | DonjonError]] = OrderedDict()
        self._proofs: OrderedDict[str, tuple[float, DonjonError | None]] = OrderedDict()  # by digest and key
        self._running: dict[str, asyncio.Task[None]] = {}
        self._proving: dict[str, asyncio.Task[None]] = {}
        self._of_namespace: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """How many images are being looked into."""
        return len(self._running)

    def at_once(self, image: str) -> LookedInto | None:
        """What is known of an image without asking anybody; raises the error of who was asked a moment ago.

        A digest of a manifest that was looked into stands for itself, whichever registry has it.
        """
        name = self._name(image)
        if isinstance(name, DonjonError):
            raise name
        contents = None if name is None else self._memory.get(name.digest)
        return None if name is None or contents is None else LookedInto(name=name, contents=contents)

    async def look(self, image: str, namespace: str, *, within: float, share: bool = True) -> LookedInto:
        """What an image holds; raises `Unavailable` DJ379 where that is not known in time, or the error of who was asked."""
        if (answer := self.at_once(image)) is not None:
            return answer
        task = self._running.get(image) or self._begin(image, namespace, share=share)
        await asyncio.wait([task], timeout=within)
        if (answer := self.at_once(image)) is not None:
            return answer
        raise Unavailable("DJ379", f"image {image}: it is being looked into; make the pod again in {AGAIN_IN} s")

    async def proof(self, image: str, name: ResolvedName, pem: str) -> DonjonError | None:
        """Why that key has not signed the image; `None` where it has.

        What was proved of a digest stays so; what was not is asked again after a moment.
        """
        key = f"{name.digest} {pem}"
        if key not in self._proving and self._proofs.get(key, (0.0, None))[0] <= self._monotonic():
            if len(self._proving) >= MAX_RUNNING:
                return Unavailable(
                    "DJ379", f"image {image}: too many others are being proved; make the pod again in {AGAIN_IN} s"
                )
            self._proving[key] = asyncio.create_task(self._prove(key, image, name, pem))
        if (task := self._proving.get(key)) is not None:
            await asyncio.wait([task], timeout=PROOF_WITHIN)
        until, answer = self._proofs.get(key, (0.0, None))
        if until > self._monotonic():
            return answer
        return Unavailable("DJ379", f"image {image}: its signatures did not come in time; make the pod again in {AGAIN_IN} s")

    async def _prove(self, key: str, image: str, name: ResolvedName, pem: str) -> None:
        digests = tuple(dict.fromkeys((name.named_digest, name.digest)))
        try:
            await _in(self._askers, lambda: self._reader.prove(image, digests, pem))
            _put(self._proofs, key, (float("inf"), None))
        except DonjonError as error:
            _put(self._proofs, key, (self._monotonic() + FAILURE_GOOD, error))
        finally:
            del self._proving[key]

    async def close(self) -> None:
        """Wait for nothing more; who is in the middle of an image comes to its end by the bounds of its registry."""
        tasks = [*self._running.values(), *self._proving.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for threads in (self._askers, self._inspectors):
            threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, image: str, namespace: str, *, share: bool) -> asyncio.Task[None]:
        if len(self._running) >= MAX_RUNNING or self._of_namespace[namespace] >= MAX_OF_NAMESPACE:
            raise Unavailable(
                "DJ379", f"image {image}: too many others are being looked into; make the pod again in {AGAIN_IN} s"
            )
        self._of_namespace[namespace] += 1
        task = asyncio.create_task(self._run(image, namespace, share=share))
        self._running[image] = task
        return task

    async def _run(self, image: str, namespace: str, *, share: bool) -> None:
        try:
            resolved = await _in(self._askers, lambda: self._reader.resolve(image))
            if self._memory.get(resolved.digest) is None:
                self._memory.keep(await _in(self._inspectors, lambda: self._reader.inspect(resolved)), share=share)
            name = ResolvedName(digest=resolved.digest, named_digest=resolved.named_digest or resolved.digest)
            self._remember(image, float("inf") if parse_reference(image).digest else NAME_GOOD, name)
        except DonjonError as error:
            self._remember(image, FAILURE_GOOD, error)
        except Exception:
            LOG.exception("a mistake in Donjon; please report it")
            self._remember(
                image, FAILURE_GOOD, Malformed("DJ145", f"image {image}: it could not be looked into; our log says more")
            )
        finally:
            del self._running[image]
            self._of_namespace[namespace] -= 1
            self._of_namespace += Counter()  # Who has none any more is not remembered.

    def _name(self, image: str) -> ResolvedName | DonjonError | None:
        until, name = self._names.get(image, (0.0, None))
        if until > self._monotonic():
            return name
        _, _, digest = image.partition("@")
        return ResolvedName(digest=digest, named_digest=digest) if digest and self._memory.get(digest) else None

    def _remember(self, image: str, seconds: float, name: ResolvedName | DonjonError) -> None:
        _put(self._names, image, (self._monotonic() + seconds, name))


def _put(into: OrderedDict[str, Answer], key: str, value: Answer) -> None:
    into[key] = value
    into.move_to_end(key)
    if len(into) > MAX_NAMES:
        into.popitem(last=False)


def _in(threads: ThreadPoolExecutor, call: Callable[[], Read]) -> Awaitable[Read]:
    return asyncio.get_running_loop().run_in_executor(threads, call)
