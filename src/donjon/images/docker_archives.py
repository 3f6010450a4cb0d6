"""What an archive of `docker save` says of itself, in its `manifest.json`.

Source: moby/moby, `image/tarexport/tarexport.go`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from posixpath import join, normpath

from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.images.bounds import MAX_LAYERS
from donjon.images.image import ImageConfig, Layer
from donjon.images.manifests import with_diff_ids
from donjon.images.paths import clean

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerManifest:
    """The one image of an archive: names of members."""

    config: str
    layers: tuple[str, ...]


def parse_docker_manifest(text: bytes, subject: str) -> DockerManifest:
    """The archive's one image; raises `Malformed` DJ322, also for several."""
    try:
        images = strict_json.parse_list(text, subject, MAX_LAYERS)
        config, layers = images[0].text("Config"), images[0].texts("Layers")
    except Malformed as error:
        raise Malformed("DJ322", error.message) from error
    if len(images) > 1:
        raise Malformed("DJ322", f"{subject}: {len(images)} images, expected one: save it alone")
    if len(layers) > MAX_LAYERS:
        raise Malformed("DJ326", f"{subject}: {len(layers)} layers, expected at most {MAX_LAYERS}")
    return DockerManifest(config=clean(config), layers=tuple(map(clean, layers)))


def docker_layers(manifest: DockerManifest, config: ImageConfig, subject: str) -> tuple[Layer, ...]:
    """The layers, each by the digest of what it unpacks to; raises `Malformed` DJ322 for another number in the config."""
    layers = [Layer(digest="", size=-1, path=name) for name in manifest.layers]
    return tuple(replace(layer, digest=layer.diff_id) for layer in with_diff_ids(layers, config, subject))


def follow(name: str, links: Mapping[str, str]) -> str:
    """The member that a name means: older versions of Docker keep a layer once, and a link in the other places."""
    target = links.get(name)
    return name if target is None else normpath(join(name.rpartition("/")[0], target))
