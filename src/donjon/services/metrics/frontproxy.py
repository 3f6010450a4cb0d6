"""The API server in front of us: which certificate is its, and what its headers say, looked up again and again."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from donjon.adapters.http.public import CLIENT_CERTIFICATE, Message
from donjon.adapters.http.tls import Clients
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.logs import say
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.metricsapi.callers import CONFIGURATION, ApiUser, FrontProxy, api_user, check_name, front_proxy
from donjon.pki.clients import COMMON, ClientCertificate, parse
from donjon.runtime.trouble import Trouble

LOG = logging.getLogger(__name__)

LOOK_EVERY = 30.0  # seconds
AGAIN = 2.0
MAX_CERTIFICATES = 64  # that are kept as they were read


class FrontProxyWatch:
    """What ConfigMap `extension-apiserver-authentication` says, as it was read last."""

    def __init__(self, api: KubeApi, now: Callable[[], datetime], renew: Callable[[], None]) -> None:
        """`renew` ends the connections that were let in by authorities of before."""
        self._api, self._now, self._renew = api, now, renew
        self._proxy: FrontProxy | None = None
        self._certificates: dict[bytes, ClientCertificate] = {}
        self._trouble = Trouble("front proxy")
        self.there = asyncio.Event()

    async def run(self) -> None:
        """Look again and again; what was read stays while it cannot be read."""
        while True:
            try:
                await self.look()
                self._trouble.clear()
                await asyncio.sleep(LOOK_EVERY)
            except DonjonError as error:
                self._trouble.report(error)
                await asyncio.sleep(AGAIN)

    async def look(self) -> None:
        """Read it once; raises `Unavailable` DJ041, `Malformed` DJ727."""
        proxy = front_proxy(await self._api.get(CONFIGURATION))
        if proxy == self._proxy:
            return
        changed = self._proxy is not None and self._proxy.authorities != proxy.authorities
        self._proxy = proxy
        self._certificates.clear()
        self.there.set()
        say(LOG, "front proxy read", names=sorted(proxy.names))
        if changed:
            self._renew()

    @property
    def clients(self) -> Clients:
        """Whose certificates are taken in handshakes; without one, somebody is answered that it takes one."""
        return Clients(authorities=self._proxy_now().authorities, required=False)

    def api_user(self, scope: Message) -> ApiUser:
        """Who asks; raises `Untrusted` DJ721 for whoever is not the API server, and where it does not say."""
        proxy = self._proxy_now()
        der = scope["extensions"].get(CLIENT_CERTIFICATE)
        if der is None:
            raise Untrusted("DJ721", "request: without a client certificate, which shows that it is the API server's")
        certificate = self._certificates.get(der) or self._keep(der)
        certificate.check_window(self._now())
        check_name(proxy, next((name.removeprefix(f"{COMMON}:") for name in certificate.names if name.startswith(COMMON)), ""))
        return api_user(proxy, scope["headers"])

    def _keep(self, der: bytes) -> ClientCertificate:
        if len(self._certificates) >= MAX_CERTIFICATES:
            self._certificates.clear()
        self._certificates[der] = parse(der)
        return self._certificates[der]

    def _proxy_now(self) -> FrontProxy:
        if self._proxy is None:
            raise Unavailable("DJ727", "front proxy: it is not known yet who is one")
        return self._proxy
