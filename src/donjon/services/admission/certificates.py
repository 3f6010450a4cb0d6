"""The loop over the webhook's certificate: replicas share it through a Secret, and the API server is told whom to trust.

The Secret is changed by whoever is first; the others find that it was changed, look again and take what is there. What the API
server trusts is written after the Secret was read, and only into the configuration that was read before it, so that an older
bundle never replaces a newer one.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import datetime

from donjon.adapters import files
from donjon.adapters.http.folder import MAX_FILE
from donjon.adapters.http.tls import context
from donjon.adapters.keys import fresh
from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi
from donjon.adapters.logs import say
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at, objects
from donjon.pki.intel import Window
from donjon.pki.rotation import Pace, Step, StoredCertificates, after, makes_one, plan
from donjon.pki.serving import appraise, issue, window_of
from donjon.runtime.probes import serving_caveat
from donjon.runtime.trouble import Caution, Trouble
from donjon.services.admission.secret import as_secret_data, decode, encode, read
from donjon.services.admission.settings import CertificateFolder, SharedCertificate

LOG = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # seconds
AGAIN = 0.3  # seconds until another look after someone else was first, or after trouble


class PresentedCertificate:
    """The certificate that new connections are shown, and whether the API server trusts it yet."""

    def __init__(self, metrics: AdmissionMetrics, clock: Callable[[], datetime]) -> None:
        self._metrics, self._clock = metrics, clock
        self._certificate = b""
        self._window: Window | None = None
        self._caution = Caution()
        self._context: ssl.SSLContext | None = None
        self.there = asyncio.Event()
        self.fault: DonjonError | None = None  # why a newer one is not taken
        self.trusted = False  # whether the API server has been told whom to trust for it

    def context(self) -> ssl.SSLContext:
        """The context for the next connection; nobody asks before there is one."""
        if self._context is None:
            raise Unavailable("DJ146", "certificate: there is none yet")
        return self._context

    def present(self, certificate: bytes, key: bytes) -> None:
        """From now on, new connections get this one; raises `Malformed` DJ146 where the two do not fit."""
        if certificate == self._certificate:
            return
        window = window_of(certificate)
        self._context = context(certificate, key)
        self._certificate, self._window = certificate, window
        self._metrics.serves(window)
        self.there.set()
        say(LOG, "certificate in use", ends=window.ends.isoformat())
        self.look()

    def finding(self) -> Finding | None:
        """What is amiss with its dates now."""
        return None if self._window is None else appraise(self._window, self._clock())

    def caveat(self) -> str:
        """The same for strangers, and whether other files wait that cannot be taken; nothing where all is well."""
        return serving_caveat(self.fault, self.finding())

    def look(self) -> None:
        """Tell the log what is amiss with its dates, once."""
        self._caution.tell("certificate", self.finding())


class SharedLoop:
    """Keeps the certificate in a Secret, renewed in time, and the caBundle true."""

    def __init__(
        self,
        settings: SharedCertificate,
        presented: PresentedCertificate,
        api: KubeApi,
        metrics: AdmissionMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._presented, self._api, self._metrics, self._clock = settings, presented, api, metrics, clock
        self._pace = Pace.of(settings.lifetime)
        self._secret = f"/api/v1/namespaces/{settings.namespace}/secrets/{settings.secret}"
        self._configuration = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{settings.configuration}"
        self._last_good = StoredCertificates()
        self._trouble = Trouble("certificate")

    async def run(self) -> None:
        """Look again and again, for as long as the webhook runs."""
        rest = min(LOOK_EVERY, self._pace.settle.total_seconds() / 3)
        while True:
            self._presented.look()
            try:
                await self.look()
                self._trouble.clear()
                await asyncio.sleep(rest)
            except ApiRefusal as error:
                if not error.changed:
                    self._trouble.report(error)
                await asyncio.sleep(AGAIN)
            except DonjonError as error:
                self._trouble.report(error)
                await asyncio.sleep(AGAIN)

    async def look(self) -> None:
        """Do what is due; `ApiRefusal.changed` where another replica was first."""
        configuration = await self._api.get(self._configuration)
        secret, certificates = await self._read_secret(configuration)
        moment = self._clock()
        step = plan(certificates, _ca_bundle_in_force(configuration), moment, self._pace)
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
        if (serving := certificates.present) is not None:
            self._presented.present(serving.certificate, serving.key)
        await self._tell(configuration, certificates.bundle)

    async def _read_secret(self, configuration: JsonObject) -> tuple[JsonObject, StoredCertificates]:
        """The Secret, and what it holds; where it holds nothing of use, what we know of it."""
        try:
            secret = await self._api.get(self._secret)
        except ApiRefusal as error:
            if not error.missing:
                raise
            await self._tell(configuration, self._last_good.bundle)
            raise Unavailable("DJ147", f"Secret {self._settings.secret}: it was deleted; `helm upgrade` puts it back") from error
        try:
            certificates = read(secret.get("data"), self._settings.names)
        except Malformed as error:
            self._trouble.report(error)
            return secret, self._last_good
        return secret, certificates if certificates.present is not None else self._last_good

    async def _write(self, secret: JsonObject, certificates: StoredCertificates) -> None:
        await self._api.replace(self._secret, {**secret, "data": as_secret_data(certificates)})

    async def _tell(self, configuration: JsonObject, bundle: bytes) -> None:
        """Tell the API server whom to trust, unless it knows."""
        if _ca_bundle_in_force(configuration) != bundle:
            hooks = [_with_ca_bundle(hook, encode(bundle)) for hook in objects(configuration.get("webhooks"))]
            await self._api.replace(self._configuration, {**configuration, "webhooks": [*hooks]})
            say(LOG, "API server told whom to trust")
        self._presented.trusted = True


class FilesLoop:
    """Takes up the certificate that another program puts into a folder, whenever it changes."""

    def __init__(self, settings: CertificateFolder, presented: PresentedCertificate) -> None:
        self._settings, self._presented = settings, presented
        self._trouble = Trouble("certificate")

    async def run(self) -> None:
        """Look again and again, for as long as the webhook runs."""
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
        self._presented.look()

    def look(self) -> None:
        """Present what is there; raises `Malformed` DJ146 for files that do not fit, `Unavailable` where they are missing."""
        try:
            certificate, key = (files.read(self._settings.folder / name, MAX_FILE) for name in ("tls.crt", "tls.key"))
        except OSError as error:
            raise Unavailable("DJ146", f"{error.filename}: {error.strerror}") from error
        self._presented.present(certificate, key)
        self._presented.trusted = True  # Whom the API server trusts, that other program tells it.


def _ca_bundle_in_force(configuration: JsonObject) -> bytes:
    """The bundle that the API server has now; none where its webhooks differ in it, or it is nonsense."""
    bundles = [at(hook, "clientConfig", "caBundle") for hook in objects(configuration.get("webhooks"))]
    try:
        return decode(bundles[0]) if bundles and all(each == bundles[0] for each in bundles) else b""
    except Malformed:
        return b""


def _with_ca_bundle(hook: JsonObject, bundle: str) -> JsonObject:
    client = hook.get("clientConfig")
    return {**hook, "clientConfig": {**(client if isinstance(client, dict) else {}), "caBundle": bundle}}
