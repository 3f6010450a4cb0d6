"""What a row of the table in `rules` is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from donjon.admission.intent import Container
from donjon.admission.predicates import RuleInput, limit_pointer
from donjon.findings import Severity


class Scope(Enum):
    """Which pods a rule is asked about."""

    ASKING = 0  # those that ask for SGX and are small enough to be looked at
    SMALL = 1  # those that are small enough to be looked at
    CROWDED = 2  # those that ask and have too many containers
    ANY = 3  # all of them


def _always(_: RuleInput) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRule:
    """One reason to refuse or to warn: when it holds, here and in CEL, and the words of a `Finding`, still with holes.

    A rule about containers has `concerns`, and in CEL the variable that lists those concerned; it holds where there are some and
    `applies` says so. `condition` is the same in CEL, empty where a container that is concerned is all that it takes.

    The holes: {containers} those concerned, {quantities} their EPC, {counted} what is too much of it, {repeated} their devices of
    which they ask for several, {strays} of each the first name that is none of SGX, {namespace}, {node}, {provider} the quote
    provider, {number} of containers, {devices} mounted from the host, and {wiring}, what should have wired the pod and how to
    see it.
    """

    code: str
    severity: Severity
    subject: str
    observation: str
    why: str
    do: str
    scope: Scope = Scope.ASKING
    concerns: Callable[[Container, RuleInput], bool] | None = None
    applies: Callable[[RuleInput], bool] = _always
    variable: str = "limited"
    condition: str = ""
    place: str = "/spec"  # where a rule about the pod shows, as a JSON pointer
    container_place: Callable[[Container], str] = limit_pointer  # where one about containers does

    @property
    def sentence(self) -> str:
        """The rule in one line, in the shape of `Finding.sentence`."""
        return f"{self.subject}: {self.observation}: {self.why} [{self.code}]; {self.do}"
