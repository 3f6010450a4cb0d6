"""What is said to each request: who asks, whether they may, and the answer; every no is a Status with a code."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from donjon.adapters.http import Response
from donjon.adapters.http.gate import REASONS
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import Message
from donjon.adapters.logs import say
from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.findings.codes import NO_SUCH_METRICS, ONLY_READ
from donjon.formats.json import JsonObject
from donjon.kube import label_selectors
from donjon.metricsapi.answers import JSON, add_epc, as_json, custom, external, own_schemas, status
from donjon.metricsapi.discovery import Group, resources
from donjon.metricsapi.questions import ALL, Kind, Question, ask
from donjon.metricsapi.series import together
from donjon.metricsapi.use import PodSite, PodUse, choose, use_of
from donjon.services.metrics.frontproxy import FrontProxyWatch
from donjon.services.metrics.meters import Meters
from donjon.services.metrics.pods import Pods
from donjon.services.metrics.rights import AccessReviews
from donjon.services.metrics.upstream import MetricsServer, UpstreamAnswer, parse

LOG = logging.getLogger(__name__)

LIMITS = Limits(
    connections=512,
    of_a_site=256,  # The API servers are few addresses, or one where they are masked.
    head=64 << 10,
    headers=512,  # The API server says each group of a user in a header of its own, and a directory may say hundreds.
    body=4096,  # Nobody reads it: who deletes sends one, and is to hear 405 of it.
    answers=256 << 20,
    answers_of_a_site=192 << 20,  # Two whole answers about 50,000 pods, or thousands of the usual.
    idle=150.0,
    answer=30.0,
)
PASS_ON = ("labelSelector", "fieldSelector")
AT_ONCE = 4  # questions to metrics-server, whose whole answers are held
LARGE = 256 << 10  # bytes; more is read beside the loop, which has others to answer

_OK, _FORBIDDEN = 200, 403
_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed"}
_REASONS |= {500: "InternalError", 503: "ServiceUnavailable"}
_CODES = {NO_SUCH_METRICS: 404, ONLY_READ: 405}
_STATUSES: tuple[tuple[type[DonjonError], int], ...] = ((Untrusted, 401), (Malformed, 400), (DonjonError, 503))

Send = Callable[[Message], Awaitable[None]]


class MetricsApi:
    """An ASGI application: the metrics APIs of one replica."""

    def __init__(
        self,
        proxy: FrontProxyWatch,
        rights: AccessReviews,
        server: MetricsServer | None,
        knowledge: "Knowledge",
        *,
        metrics: MetricsApiMetrics,
        seconds: Callable[[], float],
    ) -> None:
        """Without `server`, the API of resources is not served."""
        self._proxy, self._rights, self._server, self._knowledge = proxy, rights, server, knowledge
        self._metrics, self._seconds = metrics, seconds
        self._asking, self._reading = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer one request."""
        del receive
        began, kind = self._seconds(), "none"
        try:
            question = self._question(scope)
            kind = question.kind.name.lower()
            answer = await self._answer(scope, question)
        except DonjonError as error:
            answer = self._no(error)
        except Exception:
            LOG.exception("a mistake in Donjon; please report it")
            answer = _status(500, "metrics: it could not answer; its log says more [DJ728]")
        self._metrics.count_request(kind, answer.status, self._seconds() - began)
        head = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": answer.body})

    def turn_away(self, status_code: int, address: str) -> Response:
        """The answer to what did not become a request."""
        del address
        self._metrics.count_error("DJ728")
        return _status(status_code, f"request: {REASONS[status_code].lower()} [DJ728]")

    def _question(self, scope: Message) -> Question:
        if scope["method"] not in {"GET", "HEAD"}:
            raise Malformed(ONLY_READ, f"request: {scope['method'][:20]}, and these APIs are only read")
        return ask(scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"))

    async def _answer(self, scope: Message, question: Question) -> Response:
        """In this order: who, whether they may, what."""
        user = self._proxy.api_user(scope)
        if not await self._rights.may(user, question.right):
            self._metrics.count_error("DJ722")
            what = f"User {user.user!r} may not {_words(question)}"
            return _status(_FORBIDDEN, f"{what} [DJ722]")
        match question.kind:
            case Kind.RESOURCES:
                return _json(resources(question.group))
            case Kind.NODES | Kind.PODS | Kind.SCHEMA | Kind.SCHEMAS:
                return await self._of_resources(question, _accept(scope))
            case Kind.CUSTOM:
                return self._custom(question)
            case Kind.EXTERNAL:
                return self._external(question)

    async def _of_resources(self, question: Question, accept: str) -> Response:
        """metrics-server's answer, with EPC where it is of pods; its errors, its tables and its schema as they are."""
        if self._server is None:
            raise Malformed("DJ725", f"{Group.RESOURCE.domain}: it is not served here")
        parameters = {name: question.parameters[name] for name in PASS_ON if name in question.parameters}
        async with self._asking:
            form = accept or JSON if question.kind is Kind.SCHEMA else as_json(accept)
            answer = await self._server.ask(question.path, parameters, form)
            if question.kind is Kind.PODS and answer.status == _OK:
                return await self._with_epc(answer)
            if question.kind is Kind.SCHEMAS and answer.status == _OK:
                return _json(own_schemas(parse(answer.body)))
        return Response(status=answer.status, body=answer.body, content_type=answer.content_type or JSON)

    async def _with_epc(self, answer: UpstreamAnswer) -> Response:
        if len(answer.body) <= LARGE:
            return self._knowledge.with_epc(answer.body)
        async with self._reading:  # One alone takes ten times its length of memory.
            return await asyncio.to_thread(self._knowledge.with_epc, answer.body)

    def _custom(self, question: Question) -> Response:
        assert question.series is not None
        pods = self._knowledge.pods(question)
        if question.name != ALL and not pods:
            return _status(_CODES[NO_SUCH_METRICS], f"pod {question.name[:253]!r} is not known, or does not run [DJ725]")
        return _json(custom(question.series, pods))

    def _external(self, question: Question) -> Response:
        assert question.series is not None
        pods = self._knowledge.pods(question)
        uses = [use for _, use in pods]
        moments = [use.moment for use in uses if use is not None]
        if not moments:
            return _json(external(question.series, None, ""))
        return _json(external(question.series, together(question.series, uses), min(moments)))

    def _no(self, error: DonjonError) -> Response:
        self._metrics.count_error(error.code)
        families = (code for family, code in _STATUSES if isinstance(error, family))
        code = _CODES.get(error.code)
        say(LOG, "request turned away", level=logging.DEBUG, code=error.code, error=error.message)
        return _status(next(families) if code is None else code, str(error))


class Knowledge:
    """What is known of pods and of their EPC, now."""

    def __init__(self, pods: Pods, meters: Meters, now: Callable[[], datetime]) -> None:
        self._pods, self._meters, self._now = pods, meters, now

    def pods(self, question: Question) -> list[tuple[PodSite, PodUse | None]]:
        """The pods that a custom or external metric is asked of; raises `Malformed` DJ729 for a selector that is none."""
        text = question.parameters.get("metricLabelSelector", "") if question.kind is Kind.CUSTOM else ""
        if text:
            raise Malformed("DJ729", f"metricLabelSelector {text[:80]!r}: our figures have no labels")
        selector = label_selectors.parse(question.parameters.get("labelSelector", ""))
        pods = self._pods.of(question.namespace)
        ours = list(pods.values()) if question.name in {"", ALL} else [pods[question.name]] if question.name in pods else []
        now = self._now()
        return [(pod, use_of(pod, self._meters.get(pod.node), now)) for pod in choose(selector, ours)]

    def with_epc(self, text: bytes) -> Response:
        """metrics-server's answer about pods with their EPC; raises `Unavailable` DJ720 for one that is none."""
        value = parse(text)
        now = self._now()

        def lookup(namespace: str, name: str) -> PodUse | None:
            pod = self._pods.get(namespace, name)
            return None if pod is None else use_of(pod, self._meters.get(pod.node), now)

        return _json(add_epc(value, lookup))


def _words(question: Question) -> str:
    attributes = question.right.get("resourceAttributes")
    if not isinstance(attributes, dict):
        return f"get {question.path[:200]}"
    where = f" in namespace {question.namespace[:63]!r}" if question.namespace else ""
    return f"{attributes['verb']} {attributes['resource']}.{question.group.domain}{where}"


def _accept(scope: Message) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")[:1000]


def _status(code: int, message: str) -> Response:
    return _json(status(code, _REASONS.get(code, "Unknown"), message), code)


def _json(body: JsonObject, code: int = _OK) -> Response:
    return Response(status=code, body=json.dumps(body, separators=(",", ":")).encode(), content_type=JSON)
