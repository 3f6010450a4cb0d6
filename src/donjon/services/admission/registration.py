"""The webhook's registration at the API server: whom to trust when it calls."""

from donjon.errors import Malformed
from donjon.formats.json import JsonObject, at, objects
from donjon.runtime.certificate_secret import decode, encode
from donjon.runtime.certificates import SharedObjects

PATH = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


class WebhookRegistration:
    """One MutatingWebhookConfiguration."""

    def __init__(self, api: SharedObjects, name: str) -> None:
        self._api, self._path = api, f"{PATH}/{name}"
        self._configuration: JsonObject = {}

    async def read(self) -> bytes:
        """The bundle that the API server has now; none where its webhooks differ in it, or it is nonsense."""
        self._configuration = await self._api.get(self._path)
        bundles = [at(hook, "clientConfig", "caBundle") for hook in objects(self._configuration.get("webhooks"))]
        try:
            return decode(bundles[0]) if bundles and all(each == bundles[0] for each in bundles) else b""
        except Malformed:
            return b""

    async def tell(self, bundle: bytes) -> None:
        """Tell the API server another, unless the configuration was changed since it was read."""
        text = encode(bundle)
        hooks = [_with_ca_bundle(hook, text) for hook in objects(self._configuration.get("webhooks"))]
        await self._api.replace(self._path, {**self._configuration, "webhooks": [*hooks]})


def _with_ca_bundle(hook: JsonObject, bundle: str) -> JsonObject:
    client = hook.get("clientConfig")
    return {**hook, "clientConfig": {**(client if isinstance(client, dict) else {}), "caBundle": bundle}}
