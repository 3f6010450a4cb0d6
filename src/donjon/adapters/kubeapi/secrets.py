"""One Secret, by the account of a pod."""

from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi
from donjon.formats.json import JsonObject, at


class ApiSecret:
    """The Secret at a path; every failure is `Unavailable` DJ041."""

    def __init__(self, api: KubeApi, path: str) -> None:
        self._api, self._path = api, path

    async def read(self) -> JsonObject | None:
        """The Secret; `None` where there is none."""
        try:
            return await self._api.get(self._path)
        except ApiRefusal as refusal:
            if refusal.missing:
                return None
            raise

    async def write(self, secret: JsonObject) -> None:
        """Make it, or replace the version that its metadata say."""
        if at(secret, "metadata", "resourceVersion") is None:
            await self._api.create(self._path.rpartition("/")[0], secret)
        else:
            await self._api.replace(self._path, secret)
