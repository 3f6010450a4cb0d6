"""What is said to each request: the review's answer, or a coded error. One log line for each refusal and each error."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from donjon.adapters.http import Response
from donjon.adapters.http.gate import BAD, HEAD_TOO_LARGE, NO_ROOM, TOO_LARGE, TOO_SLOW
from donjon.adapters.logs import say
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.admission.nodes import LargestNode
from donjon.admission.policies.enclaves import HOLD_PATH, PIN_PATH
from donjon.admission.policies.registration import PATH
from donjon.admission.review import MAX_SIZE, ReviewOutcome, ReviewResponse, review
from donjon.admission.settings import Settings
from donjon.errors import Malformed, Unavailable
from donjon.findings import Severity

LOG = logging.getLogger(__name__)


JSON = "application/json"
LINES_A_SECOND = 20  # about requests that were turned away, and as many about pods; whoever sends them decides how many there are
MAX_NAME, MAX_TOLD = 253, 10  # characters of what is named, findings that are told; metrics count all
MAX_SENTENCE = 1024  # characters

_STATUS_BAD, _STATUS_NOT_FOUND, _STATUS_NOT_ALLOWED, _STATUS_TYPE, _STATUS_OURS, _STATUS_NOT_YET = 400, 404, 405, 415, 500, 503
_TURNED_AWAY = {
    BAD: ("DJ144", "request: no HTTP/1.1"),
    TOO_SLOW: ("DJ144", "request: it was not whole within ten seconds"),
    TOO_LARGE: ("DJ140", f"body: more than {MAX_SIZE} bytes"),
    HEAD_TOO_LARGE: ("DJ144", "request: path and headers are more than is read"),
    NO_ROOM: ("DJ148", "body: no room for it beside the others"),
}
"""What a server's own refusal says, by its status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """One request, whole."""

    method: str
    path: str
    content_type: str
    body: bytes
    peer: str


class JudgesEnclaves(Protocol):
    """Decides about pods by the enclaves in their images."""

    async def answer(self, path: str, body: bytes) -> bytes:
        """The answer to a review; raises `Malformed` for none, `Unavailable` while nobody can be judged."""


class Webhook:
    """Answers the requests that the API server sends to one replica."""

    def __init__(
        self,
        settings: Settings,
        metrics: AdmissionMetrics,
        clock: Callable[[], float],
        largest_node: Callable[[], LargestNode | None] = lambda: None,
    ) -> None:
        self._settings, self._metrics, self._clock, self._largest_node = settings, metrics, clock, largest_node
        self._of_requests, self._of_pods = LogBound(clock), LogBound(clock)

    def answer(self, request: WebhookRequest) -> Response:
        """The answer to a request about wiring; whatever happens, there is one."""
        began = self._clock()
        try:
            _look_at(request, PATH)
            reviewed = review(request.body, self._settings, self._largest_node())
        except Exception as error:  # noqa: BLE001 - each kind has its answer.
            return self._answer_error(error, request.peer)
        self._metrics.count_review(reviewed.outcome, reviewed.verdict.findings, self._clock() - began)
        self._tell(reviewed)
        return Response(status=200, body=reviewed.body, content_type=JSON)

    async def answer_on_enclaves(self, gate: JudgesEnclaves, request: WebhookRequest) -> Response:
        """The answer to a request about enclaves; whatever happens, there is one."""
        began = self._clock()
        try:
            _look_at(request, PIN_PATH, HOLD_PATH)
            body = await gate.answer(request.path, request.body)
        except Exception as error:  # noqa: BLE001 - each kind has its answer.
            return self._answer_error(error, request.peer)
        self._metrics.time_enclaves(self._clock() - began)
        return Response(status=200, body=body, content_type=JSON)

    def turn_away(self, status: int, peer: str) -> Response:
        """The answer to what did not become a request: too slow, too large, no HTTP, or without room."""
        return self._reject(status, *_TURNED_AWAY[status], peer)

    def _answer_error(self, error: Exception, peer: str) -> Response:
        match error:
            case _BadRequest():
                return self._reject(error.status, "DJ144", error.message, peer)
            case Malformed():
                return self._reject(_STATUS_BAD, error.code, error.message, peer)
            case Unavailable():
                return self._reject(_STATUS_NOT_YET, error.code, error.message, peer)
        LOG.error("a mistake in Donjon; please report it", exc_info=error)
        return self._reject(_STATUS_OURS, "DJ145", "webhook: it could not decide; its log says more", peer)

    def _tell(self, reviewed: ReviewResponse) -> None:
        """One line for a pod that the policies will refuse, and for one that they will warn about."""
        findings = reviewed.verdict.findings
        if not findings or not self._of_pods.may_write():
            return
        is_refused = reviewed.outcome is ReviewOutcome.DENIED
        reasons = [each for each in findings if not is_refused or each.severity is Severity.ERROR]
        say(
            LOG,
            "the policies refuse this pod" if is_refused else "the policies warn about this pod",
            level=logging.WARNING if is_refused else logging.INFO,
            pod=f"{reviewed.request.namespace[:MAX_NAME]}/{reviewed.request.name[:MAX_NAME]}",
            uid=reviewed.request.uid[:MAX_NAME],
            codes=[each.code for each in findings[:MAX_TOLD]],
            findings=[each.sentence()[:MAX_SENTENCE] for each in reasons[:MAX_TOLD]],
        )

    def _reject(self, status: int, code: str, message: str, peer: str) -> Response:
        self._metrics.count_error(code)
        if self._of_requests.may_write():
            say(LOG, "request turned away", level=logging.WARNING, code=code, error=message, peer=peer, status=status)
        text = f"{message} [{code}]\n"
        return Response(status=status, body=text.encode("utf-8", "backslashreplace"))


class LogBound:
    """Bounds the lines of the log: so many each second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._second, self._count = clock, 0, 0

    def may_write(self) -> bool:
        """Whether one more line may be written now; it is counted."""
        second = int(self._clock())
        self._count = self._count + 1 if second == self._second else 1
        self._second = second
        return self._count <= LINES_A_SECOND


class _BadRequest(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def _look_at(request: WebhookRequest, *paths: str) -> None:
    if request.path not in paths:
        raise _BadRequest(_STATUS_NOT_FOUND, f"request: no such path, expected {' or '.join(paths)}")
    if request.method != "POST":
        raise _BadRequest(_STATUS_NOT_ALLOWED, f"request: it is a {request.method[:20]}, expected a POST")
    if request.content_type != JSON:
        raise _BadRequest(_STATUS_TYPE, f"request: its content is {request.content_type[:60] or 'of no type'}, expected {JSON}")
