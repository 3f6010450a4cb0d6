"""The loop over a serving certificate: replicas share it through a Secret, and the API server is told whom to trust.

The Secret is changed by whoever is first; the others find that it was changed, look again and take what is there. What the API
server trusts is written after the Secret was read, and only into the registration that was read before it, so that an older
bundle never replaces a newer one. A new certificate serves only when its authority was in force a look ago; what served
before stays trusted until the others had time to follow.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from donjon.adapters.http.folder import contents, pair
from donjon.adapters.http.tls import Clients, context
from donjon.adapters.keys import fresh
from donjon.adapters.kubeapi.client import ApiRefusal
from donjon.adapters.logs import say
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.findings import codes
from donjon.formats.json import JsonObject
from donjon.pki.intel import Window
from donjon.pki.rotation import Pace, Step, StoredCertificates, after, makes_one, plan
from donjon.pki.serving import ServingAuthority, ServingCertificate, issue, parse_authorities, window_of
from donjon.pki.trust import Sightings, sightings, trust
from donjon.runtime.certificate_secret import as_secret_data, read
from donjon.runtime.certificate_settings import CertificateFolder, SharedCertificate
from donjon.runtime.certificate_watch import CertificateWatch
from donjon.runtime.trouble import Trouble

LOG = logging.getLogger(__name__)

Authorities = tuple[ServingAuthority, ...]

LOOK_EVERY = 5.0  # seconds
AGAIN = 0.3  # seconds until another look after someone else was first, or after trouble; twice that the next time, and so on


class CertificateMetrics(Protocol):
    """Where it is counted what becomes of the certificate."""

    def serves(self, window: Window) -> None:
        """The certificate that is served is good for that long."""

    def tells_trouble(self, code: str) -> None:
        """From now on, the certificate cannot be looked after, by the code of why; without a code it can."""

    def count_step(self, step: str) -> None:
        """Count a step of renewing the certificate."""


class PresentedCertificate:
    """The certificate that new connections are shown, and whether the API server trusts it yet."""

    def __init__(
        self, metrics: CertificateMetrics, clock: Callable[[], datetime], clients: Callable[[], Clients | None] = lambda: None
    ) -> None:
        """`clients` says whose certificates are asked for, at each connection."""
        self._metrics, self._clients = metrics, clients
        self._certificate = self._key = b""
        self._context_for: Clients | None = None
        self.window: Window | None = None
        self.watch = CertificateWatch(self, clock)
        self._context: ssl.SSLContext | None = None
        self.there = asyncio.Event()
        self.fault: DonjonError | None = None  # why a newer one is not taken
        self.trusted = False  # whether the API server has been told whom to trust for it
        self.trouble: DonjonError | None = None  # why it cannot be looked after

    def context(self) -> ssl.SSLContext:
        """The context for the next connection; nobody asks before there is one."""
        if self._context is None:
            raise Unavailable("DJ146", "certificate: there is none yet")
        if (clients := self._clients()) != self._context_for:
            self._context, self._context_for = context(self._certificate, self._key, clients), clients
        return self._context

    def present(self, certificate: bytes, key: bytes) -> None:
        """From now on, new connections get this one; raises `Malformed` DJ146 where the two do not fit."""
        if certificate == self._certificate:
            return
        window = window_of(certificate)
        self._context, self._context_for = context(certificate, key), None
        self._certificate, self._key, self.window = certificate, key, window
        self._metrics.serves(window)
        self.there.set()
        say(LOG, "certificate in use", ends=window.ends.isoformat())
        self.watch.look()

    def caveat(self) -> str:
        """What is amiss with it, for strangers; nothing where all is well."""
        trouble = (
            "" if self.trouble is None else f"its certificate cannot be looked after [{self.trouble.code}]; the log says why"
        )
        return "; ".join(filter(None, (trouble, self.watch.caveat())))

    def report(self, error: DonjonError | None) -> None:
        """Why it cannot be looked after, for whoever asks; nothing where it can."""
        self.trouble = error
        self._metrics.tells_trouble("" if error is None else error.code)


class SharedObjects(Protocol):
    """The objects of the API server that replicas share."""

    async def get(self, path: str) -> JsonObject:
        """One object; raises `ApiRefusal`."""

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """Write it, unless it was changed since it was read; raises `ApiRefusal`."""


class TrustRegistration(Protocol):
    """Where the API server is told whom to trust, when it calls us."""

    async def read(self) -> bytes:
        """The bundle in force, in PEM; none where several differ in it. Raises `ApiRefusal`."""

    async def tell(self, bundle: bytes) -> None:
        """Put another in its place, in what was read last, unless that was changed since; raises `ApiRefusal`."""


class SharedLoop:
    """Keeps the certificate in a Secret, renewed in time, and the caBundle true."""

    def __init__(
        self,
        settings: SharedCertificate,
        presented: PresentedCertificate,
        api: SharedObjects,
        registration: TrustRegistration,
        *,
        metrics: CertificateMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._presented, self._api, self._metrics, self._clock = settings, presented, api, metrics, clock
        self._registration = registration
        self._pace = Pace.of(settings.lifetime)
        self._secret = f"/api/v1/namespaces/{settings.namespace}/secrets/{settings.secret}"
        self._last_good = StoredCertificates()
        self._serving: ServingCertificate | None = None
        self._in_force: Authorities = ()  # when the last look was over
        self._unneeded: Sightings = {}
        self._trouble = Trouble("certificate")
        self._rivalry = Trouble("whom the API server trusts")

    async def run(self) -> None:
        """Look again and again, for as long as the program runs."""
        rest = min(LOOK_EVERY, self._pace.settle.total_seconds() / 3)
        pause = AGAIN
        while True:
            self._presented.watch.look()
            try:
                await self.look()
                self._trouble.clear()
                self._presented.report(None)
                pause = AGAIN
                await asyncio.sleep(rest)
            except ApiRefusal as error:
                if not error.changed:
                    self._report(error)
                    pause = min(2 * pause, LOOK_EVERY)
                await asyncio.sleep(pause)
            except DonjonError as error:
                self._report(error)
                pause = min(2 * pause, LOOK_EVERY)
                await asyncio.sleep(pause)

    def _report(self, error: DonjonError) -> None:
        self._trouble.report(error)
        self._presented.report(error)

    async def look(self) -> None:
        """Do what is due; `ApiRefusal.changed` where another replica was first."""
        bundle = await self._registration.read()
        before, self._in_force = self._in_force, _authorities(bundle)
        moment = self._clock()
        secret, certificates = await self._read_secret(before, moment)
        step = plan(certificates, bundle, moment, self._pace)
        if step is not Step.NOTHING:
            new_serving = issue(self._settings.names, fresh(), moment, self._settings.lifetime) if makes_one(step) else None
            certificates = after(step, certificates, new_serving, moment)
            await self._write(secret, certificates)
            self._metrics.count_step(step.value)
            say(LOG, "certificate renewed", step=step.value)
        elif certificates is self._last_good:
            await self._write(secret, certificates)
            say(LOG, "certificate put back into its Secret", level=logging.WARNING)
        self._last_good = certificates
        await self._change_over(certificates, before, moment)

    async def _read_secret(self, before: Authorities, moment: datetime) -> tuple[JsonObject, StoredCertificates]:
        """The Secret, and what it holds; where it holds nothing of use, what we know of it."""
        try:
            secret = await self._api.get(self._secret)
        except ApiRefusal as error:
            if not error.missing:
                raise
            await self._keep_trusted(before, moment)
            raise Unavailable(
                codes.NO_CERTIFICATE_KEPT, f"Secret {self._settings.secret}: it was deleted; `helm upgrade` puts it back"
            ) from error
        try:
            certificates = read(secret.get("data"), self._settings.names)
        except Malformed as error:
            self._trouble.report(error)
            return secret, self._last_good
        return secret, certificates if certificates.present is not None else self._last_good

    async def _write(self, secret: JsonObject, certificates: StoredCertificates) -> None:
        await self._api.replace(self._secret, {**secret, "data": as_secret_data(certificates)})

    async def _change_over(self, certificates: StoredCertificates, before: Authorities, moment: datetime) -> None:
        """Serve what is shared, as soon as its authority was heard of, and tell whom to trust for it and for what we serve."""
        present = certificates.present
        if present is not None and self._may_serve(present, before, moment):
            self._presented.present(present.certificate, present.key)
            self._serving = present
        needed = (*certificates.authorities, *self._own())
        self._unneeded = sightings(needed, self._in_force, self._unneeded, moment)
        await self._tell(before, trust(needed, self._in_force, self._unneeded, moment, self._pace.settle))
        self._presented.trusted = self._serving is not None

    async def _keep_trusted(self, before: Authorities, moment: datetime) -> None:
        """While nothing is shared, see that whoever serves is trusted; who serves nothing has nothing to tell."""
        self._unneeded = {}
        if needed := (*self._last_good.authorities, *self._own()):
            await self._tell(before, trust(needed, self._in_force, {}, moment, self._pace.settle))

    def _may_serve(self, certificate: ServingCertificate, before: Authorities, moment: datetime) -> bool:
        """Whether a call may meet this certificate: its authority was in force a look ago, or there is nothing else to serve."""
        return self._serving is None or self._serving.ends <= moment or certificate.authority in before

    def _own(self) -> Authorities:
        return () if self._serving is None else (self._serving.authority,)

    async def _tell(self, before: Authorities, authorities: Authorities) -> None:
        """Tell the API server whom to trust, unless it knows."""
        if self._in_force == authorities:
            return
        await self._registration.tell(b"".join(each.pem for each in authorities))
        losses = set(authorities) & set(before) - set(self._in_force)
        self._in_force = authorities
        if losses:
            words = f"somebody else took {len(losses)} of our authorities out of the caBundle; they were put back"
            self._rivalry.report(Unavailable("DJ175", words))
        else:
            say(LOG, "API server told whom to trust", authorities=len(authorities))


class FilesLoop:
    """Takes up the certificate that another program puts into a folder, whenever it changes."""

    def __init__(self, settings: CertificateFolder, presented: PresentedCertificate) -> None:
        self._settings, self._presented = settings, presented
        self._trouble = Trouble("certificate")

    async def run(self) -> None:
        """Look again and again, for as long as the program runs."""
        while True:
            self.round()
            await asyncio.sleep(LOOK_EVERY)

    def round(self) -> None:
        """Look once; trouble is told."""
        try:
            self.look()
        except DonjonError as error:
            self._trouble.report(error)
            self._presented.fault = error
        else:
            self._trouble.clear()
            self._presented.fault = None
        self._presented.watch.look()

    def look(self) -> None:
        """Present what is there; raises `Malformed` DJ146 for files that do not fit, `Unavailable` where they are missing."""
        self._presented.present(*contents(pair(self._settings.folder)))
        self._presented.trusted = True  # Whom the API server trusts, that other program tells it.


def _authorities(bundle: bytes) -> Authorities:
    try:
        return parse_authorities(bundle)
    except Malformed:
        return ()
