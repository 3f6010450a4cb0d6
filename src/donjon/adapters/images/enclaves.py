"""Files of an image that may hold an enclave. While a file comes, its pieces are kept; without a trace they are dropped.

A file that is larger than that is looked through first, and read in a second walk where it has one.
"""

from collections.abc import Callable, Iterator

from donjon.adapters.images.images import Images
from donjon.enclave.traces import EnclaveTrace
from donjon.images.bounds import MAX_CONTENT, MIB
from donjon.images.image import Image, ImageFile

KEEP = 16 * MIB  # bytes of a file that are kept while it comes


def enclave_files(
    images: Images, image: Image, most: int = MAX_CONTENT, beyond: Callable[[str], None] = lambda _: None
) -> Iterator[ImageFile]:
    """Those files, each whole; of several hard links to one file, one. Nothing counts before all have come.

    One that has a trace and more bytes than `most` is not read; `beyond` is told its path. Raises what `Images.files` does.
    """
    large: set[str] = set()
    for content in images.contents(image, lambda _, size: size > 0, links=False):
        trace, parts = EnclaveTrace(), []
        for part in content.pieces:
            trace.look(part)
            if content.size <= KEEP:
                parts.append(part)
        if trace.is_there and content.size <= KEEP:
            yield ImageFile(path=content.paths[0], mode=content.mode, size=content.size, content=b"".join(parts))
        elif trace.is_there and content.size <= most:
            large.add(content.paths[0])
        elif trace.is_there:
            beyond(content.paths[0])
    if large:
        yield from images.files(image, lambda path, _: path in large)
