"""What was found in images: in this replica's memory, and in objects that all replicas share.

Both are bounded: of the objects the oldest goes, of the memory what was asked for longest ago. An object of another version of
Donjon is nobody's word; whoever looks again writes it anew.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi, Listing
from donjon.enclave.record import GROUP, PLURAL, VERSION, InspectedImage, object_name, read_record, write_record
from donjon.errors import DonjonError, Malformed
from donjon.formats.json import JsonObject, at
from donjon.kube.objects import name_of
from donjon.runtime.trouble import Trouble

PATH = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
MAX_REMEMBERED = 1024  # images in memory
MAX_ENCLAVES = 8192  # of all of them: each takes some 3 KiB, and an image may have 64
MAX_SHARED = 512  # objects
MAX_WAITING = 64  # objects that are still to be written
AGAIN = 5.0  # seconds until another try


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedImage:
    """What an object says."""

    name: str
    since: str = ""  # when it was made
    image: InspectedImage | None = None  # `None` where it is of another version, or nonsense


def _unread(item: JsonObject) -> SharedImage:
    """An object that is too large to be one of ours."""
    return SharedImage(name=name_of(item))


class ImageMemory:
    """The images that one replica knows."""

    def __init__(self, api: KubeApi, version: str) -> None:
        self._api, self._version = api, version
        self._images: OrderedDict[str, InspectedImage] = OrderedDict()
        self._enclaves = 0  # of all of them
        self._shared: OrderedDict[str, str] = OrderedDict()  # when each object was made, by its name
        self._to_write: asyncio.Queue[InspectedImage] = asyncio.Queue(MAX_WAITING)
        self._trouble, self._writing = Trouble("images that are shared"), Trouble("an image to be shared")
        self.is_listed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._images)

    def get(self, digest: str) -> InspectedImage | None:
        """What is known of a digest."""
        image = self._images.get(digest)
        if image is not None:
            self._images.move_to_end(digest)
        return image

    def keep(self, image: InspectedImage, *, share: bool) -> None:
        """Remember it, and let the others know; where too many wait to be written, they find it out themselves."""
        self._remember(image)
        if share and not self._to_write.full():
            self._to_write.put_nowait(image)

    async def follow(self) -> None:
        """Take what others found, again and again."""
        while True:
            try:
                await self._follow()
            except DonjonError as error:
                self._trouble.report(error)
                await asyncio.sleep(AGAIN)

    async def write(self) -> None:
        """Share what is found, one image after the other, for as long as the program runs."""
        while True:
            image = await self._to_write.get()
            try:
                await self._write(image)
                await self._drop_oldest()
                self._writing.clear()
            except DonjonError as error:
                self._writing.report(error)

    async def _follow(self) -> None:
        async for change in self._api.follow(PATH, "", self._read, _unread):
            if isinstance(change, Listing):
                self._shared.clear()
                for item in change.items:
                    self._take(item)
                self.is_listed.set()
            elif change.is_deleted:
                self._shared.pop(change.item.name, None)
            else:
                self._take(change.item)
            self._trouble.clear()

    def _read(self, item: JsonObject) -> SharedImage:
        """What is kept of an object: a page of them is in memory as JSON, and not all."""
        since = str(at(item, "metadata", "creationTimestamp") or "")
        try:
            return SharedImage(name=name_of(item), since=since, image=read_record(item, self._version))
        except Malformed as error:
            self._trouble.report(error)
            return SharedImage(name=name_of(item), since=since)

    def _take(self, shared: SharedImage) -> None:
        self._shared[shared.name] = shared.since
        if shared.image is not None:
            self._remember(shared.image)

    def _remember(self, image: InspectedImage) -> None:
        self._forget(image.digest)
        self._images[image.digest] = image
        self._enclaves += len(image.enclaves)
        while len(self._images) > MAX_REMEMBERED or self._enclaves > MAX_ENCLAVES:
            self._forget(next(iter(self._images)))

    def _forget(self, digest: str) -> None:
        if (image := self._images.pop(digest, None)) is not None:
            self._enclaves -= len(image.enclaves)

    async def _write(self, image: InspectedImage) -> None:
        record = write_record(image, self._version)
        try:
            await self._api.create(PATH, record)
        except ApiRefusal as refusal:
            if not refusal.changed:  # It is there already, perhaps of another version.
                raise
            there = await self._api.get(f"{PATH}/{object_name(image.digest)}")
            await self._api.replace(f"{PATH}/{object_name(image.digest)}", {**record, "metadata": there["metadata"]})

    async def _drop_oldest(self) -> None:
        oldest = sorted(self._shared, key=lambda name: self._shared[name])
        for name in oldest[: max(0, len(oldest) - MAX_SHARED)]:
            self._shared.pop(name, None)
            try:
                await self._api.delete(f"{PATH}/{name}")
            except ApiRefusal as refusal:
                if not refusal.missing:
                    raise
