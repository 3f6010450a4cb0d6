"""What Donjon and dcap-qvl make of the same mutants; `make differential` asks about 100,000, the tests about 2,000."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from tests.attestation import vectors
from tests.conformance.mutants import KINDS, Mutant, mutant, plain
from tests.conformance.peer import NAMES, Peer, Question, bundle_of
from tests.conformance.reasons import reason
from tests.simulation.intel import world

from donjon.attestation.acceptance import Acceptance, AcceptedQuote, accept
from donjon.attestation.memory import Memory
from donjon.attestation.quote import Quote, parse
from donjon.attestation.verify import VerifiedQuote, verify
from donjon.collateral.bundle import Collateral
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.errors import DonjonError
from donjon.pki.intel import INTEL, Anchor, anchor
from donjon.sgx.td import TdReport

REFUSED = "refused: "
ATTRIBUTES = frozenset({"DJ272", "DJ273", "DJ274", "DJ275", "DJ276"})
"""What acceptance says of attributes and features."""
MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both said of a mutant, and why they may differ where they do."""

    number: int
    told: str
    ours: str
    theirs: str
    reason: str | None = None

    @property
    def judged(self) -> bool:
        """Whether both came to a status, the same one."""
        return not self.ours.startswith(REFUSED) and self.agree

    @property
    def agree(self) -> bool:
        """The same status with the same advisories, or a refusal by both."""
        if self.ours.startswith(REFUSED) or self.theirs.startswith(REFUSED):
            return self.ours.startswith(REFUSED) and self.theirs.startswith(REFUSED)
        return self.ours.partition("|")[0] == self.theirs.partition("|")[0]


def compare(peer: Peer, number: int, mutants: Sequence[Mutant]) -> Outcome:
    """What both make of the mutant of that number."""
    asked = mutant(number, mutants)
    outcome = Outcome(number, asked.told, ours(asked), theirs(peer, asked))
    if outcome.agree:
        return outcome
    found = reason(outcome.ours, outcome.theirs, asked.told)
    return replace(outcome, reason=found.why if found else None)


def bases() -> list[Mutant]:
    """Valid worlds of all kinds that dcap-qvl reads, and the golden real quotes with their collateral."""
    made = [plain(world(kind), kind) for kind in KINDS]
    golden = [case for case in vectors.cases("golden.json") if "_v2_" not in case["tcb_info"]]
    return made + [_real(case) for case in golden]


def _real(case: vectors.Case) -> Mutant:
    received = vectors.received(vectors.names(case))
    parts: Mapping[str, bytes] = {name: getattr(received, name) for name in NAMES}
    return Mutant(case["quote"], (vectors.ROOT / case["quote"]).read_bytes(), parts, vectors.moment(case), None)


def ours(mutant: Mutant) -> str:
    """A line: the status with advisories and what acceptance would look at, or the refusal's code and message.

    Said twice, the second time with a memory of all that was judged before: it must make no difference.
    """
    try:
        collateral = trust(Collateral(**mutant.parts), INTEL if mutant.root is None else _anchor(mutant.root))
        quote = parse(mutant.quote)
        cold, warm = (_verified(quote, collateral, mutant.moment, memory) for memory in (None, MEMORY))
    except DonjonError as error:
        return f"{REFUSED}{error.code} {error.message}"
    except Exception as error:  # noqa: BLE001 - nothing but our errors is to come out, so whatever else does is told
        return f"LEAKED: {error!r}"
    return cold if cold == warm else f"REMEMBERED: {warm}, and without a memory: {cold}"


def _verified(quote: Quote, collateral: TrustedCollateral, moment: datetime, memory: Memory | None) -> str:
    try:
        found = verify(quote, collateral, moment, memory)
    except DonjonError as error:
        return f"{REFUSED}{error.code} {error.message}"
    return " ".join((f"{found.tcb.status} {','.join(sorted(found.tcb.advisories))} |", *_noted(found)))


@cache
def _anchor(root: bytes) -> Anchor:
    return anchor(root)


def theirs(peer: Peer, mutant: Mutant) -> str:
    """A line of the same form."""
    said = peer.ask(Question(mutant.quote, bundle_of(dict(mutant.parts)), mutant.moment, mutant.root))
    return f"{REFUSED}{said.refused}" if said.status is None else f"{said.status} {','.join(sorted(said.advisories))} |"


def _noted(found: VerifiedQuote) -> Iterator[str]:
    """What dcap-qvl refuses and Donjon leaves to acceptance."""
    body = found.quote.body
    if body.debug:
        yield "debug"
    if isinstance(body, TdReport) and not body.sept_ve_disable:
        yield "sept-ve"
    answer = accept(found, Acceptance())
    if not isinstance(answer, AcceptedQuote):
        yield from sorted(ATTRIBUTES & {each.code for each in answer})
    yield from found.outside_validity
    yield f"v{found.quote.version} {found.quote.tee}"
