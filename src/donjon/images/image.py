"""An image, and what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from donjon.images.references import ImageReference


class Compression(StrEnum):
    """How a layer is written down."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image says of the process that it is for (OCI image specification, `config.md`)."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()  # each NAME=VALUE
    working_dir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    architecture: str = ""
    system: str = ""  # "linux"
    diff_ids: tuple[str, ...] = ()  # digests of the layers, uncompressed, the lowest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, as a manifest says it."""

    digest: str  # of its bytes as they are kept
    size: int  # of these, too; -1 where nobody said it
    compression: Compression | None = None  # `None` where its first bytes tell
    diff_id: str = ""  # the digest of its bytes uncompressed
    path: str = ""  # in a docker archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image for linux/amd64 whose manifest and config are here, and whose layers can be read."""

    reference: ImageReference
    digest: str  # of its manifest; in a docker archive, of its config
    config: ImageConfig
    layers: tuple[Layer, ...]  # the lowest first
    named_digest: str = ""  # of what the name stands for: an index, or the manifest itself


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """A regular file of an image's final file system."""

    path: str  # from the root, without a slash before it
    mode: int
    size: int
    content: bytes
