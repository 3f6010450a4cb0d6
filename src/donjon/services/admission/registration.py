"""The webhook's registrations at the API server: whom to trust when it calls."""

from collections.abc import Sequence

from donjon.errors import Malformed
from donjon.formats.json import JsonObject, at, objects
from donjon.runtime.certificate_secret import decode, encode
from donjon.runtime.certificates import SharedObjects

MUTATING, VALIDATING = "mutatingwebhookconfigurations", "validatingwebhookconfigurations"
_GROUP = "/apis/admissionregistration.k8s.io/v1"


class WebhookRegistration:
    """The webhook configurations of one name, of one kind or of both."""

    def __init__(self, api: SharedObjects, name: str, kinds: Sequence[str] = (MUTATING,)) -> None:
        self._api, self._paths = api, [f"{_GROUP}/{kind}/{name}" for kind in kinds]
        self._configurations: dict[str, JsonObject] = {}

    async def read(self) -> bytes:
        """The bundle that the API server has now; none where its webhooks differ in it, or it is nonsense."""
        self._configurations = {path: await self._api.get(path) for path in self._paths}
        bundles = [
            at(hook, "clientConfig", "caBundle")
            for configuration in self._configurations.values()
            for hook in objects(configuration.get("webhooks"))
        ]
        try:
            return decode(bundles[0]) if bundles and all(each == bundles[0] for each in bundles) else b""
        except Malformed:
            return b""

    async def tell(self, bundle: bytes) -> None:
        """Tell the API server another, unless a configuration was changed since it was read."""
        text = encode(bundle)
        for path, configuration in self._configurations.items():
            hooks = [_with_ca_bundle(hook, text) for hook in objects(configuration.get("webhooks"))]
            await self._api.replace(path, {**configuration, "webhooks": [*hooks]})


def _with_ca_bundle(hook: JsonObject, bundle: str) -> JsonObject:
    client = hook.get("clientConfig")
    return {**hook, "clientConfig": {**(client if isinstance(client, dict) else {}), "caBundle": bundle}}
