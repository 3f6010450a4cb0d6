"""Documents of collateral that a process has at hand, each proved under the pinned root and the newest of the root's lists.

When each is due to be fetched again is said here; who fetches it, and where it outlives the process, is the cache's.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from donjon.adapters.logs import say
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import document as documents
from donjon.collateral import plan
from donjon.collateral.document import Document
from donjon.collateral.plan import Answer, CollateralKind, CollateralRequest
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor

LOG = logging.getLogger(__name__)

SOONEST = timedelta(minutes=10)  # until a document is fetched again of which the upstream has no newer one
AHEAD, SPREAD = 0.3, 0.2  # of a document's life before its end it is fetched again, and up to so much more

ROOT = plan.root_ca_crl()


class DocumentMemory:
    """The documents in memory, each with the moment at which it is to be fetched again."""

    def __init__(
        self, *, anchor: Anchor, moment: Callable[[], datetime], chance: Callable[[], float], metrics: AttestationMetrics
    ) -> None:
        """`chance` is between 0 and 1, another each time."""
        self._anchor, self._moment, self._chance, self._metrics = anchor, moment, chance, metrics
        self._documents: dict[str, Document] = {}
        self._due: dict[str, datetime] = {}
        self._root_crl: Crl | None = None  # as the root's list among the documents has it

    @property
    def documents(self) -> Mapping[str, Document]:
        """Every document that is here, by its name."""
        return self._documents

    def find(self, request: CollateralRequest) -> Document | None:
        """The document that the request asks for, where it is here."""
        return self._documents.get(request.name())

    def is_due(self, name: str) -> bool:
        """Whether the document of that name is to be fetched again."""
        return self._due[name] < self._moment()

    def not_expired(self, staleness: timedelta) -> list[Document]:
        """What has not ended, or no longer ago than that."""
        since = self._moment() - staleness
        return [each for each in self._documents.values() if each.expires >= since]

    def has_root_list(self) -> bool:
        """Whether there is a list of the root's that has not ended."""
        root = self.find(ROOT)
        return root is not None and root.expires >= self._moment()

    def root_crl(self) -> Crl:
        """What the root has revoked; raises `Unavailable` DJ512 where its list is not here."""
        if self._root_crl is None:
            raise Unavailable("DJ512", "collateral: without the root's revocation list nothing is proved")
        return self._root_crl

    def prove(self, request: CollateralRequest, answer: Answer) -> Document:
        """What that answer holds, and nothing is kept of it; raises as `revoked` and `documents.prove` do."""
        if request.kind is CollateralKind.ROOT_CA_CRL:
            return documents.prove_root_crl(answer, self._anchor)[0]
        return documents.prove(request, answer, self.root_crl(), self._anchor)

    def prove_all(self, answers: Mapping[str, Answer]) -> dict[str, Document]:
        """Documents that somebody brings, proved under the newest of the root's lists; raises as `documents.prove_all` does.

        Nothing is kept of them.
        """
        root = self.find(ROOT)
        here = {} if root is None else {ROOT.name(): as_answer(root)}
        by_name = documents.prove_all({**here, **answers}, self._anchor)
        if root is not None and by_name[ROOT.name()].issue_date < root.issue_date:
            by_name = documents.prove_all({**answers, **here}, self._anchor)
        return by_name

    def check_not_older(self, document: Document) -> None:
        """Raises `Untrusted` DJ513 where it is older than what is here."""
        documents.check_not_older(document, self.find(document.request))

    def is_newer(self, document: Document) -> bool:
        """Whether it has not ended, and is not older than what is here, which a line of the log tells."""
        if document.expires < self._moment():
            return False
        try:
            self.check_not_older(document)
        except Untrusted as error:
            say(LOG, "older collateral not taken", document=document.request.name(), code=error.code)
            return False
        return True

    def load(self, answers: Mapping[str, Answer]) -> None:
        """Keep what is stored, each proved again; a line of the log tells what is not."""
        for name, error in self.take(answers).items():
            _tell_unserved(name, error)

    def take(self, answers: Mapping[str, Answer]) -> dict[str, DonjonError]:
        """Keep what is stored, each proved again; what is not, by its name, and why."""
        names = sorted(answers, key=lambda name: name != ROOT.name())  # Under the root's list all others are proved.
        return {name: error for name in names if (error := self._keep_again(name, answers[name])) is not None}

    def keep(self, document: Document) -> None:
        """In the place of the one that was there; a list of the root's may revoke who signed what is here."""
        name = document.request.name()
        self._documents[name] = document
        ahead = document.expires - (document.expires - document.issue_date) * (AHEAD + SPREAD * self._chance())
        self._due[name] = max(ahead, self._moment() + SOONEST)
        self._metrics.holds(name, document.expires)
        if document.request.kind is CollateralKind.ROOT_CA_CRL:
            before, (_, self._root_crl) = self._root_crl, documents.prove_root_crl(as_answer(document), self._anchor)
            if before is not None and before.serials != self._root_crl.serials:  # Most lists name nobody.
                self._drop_revoked()

    def _drop_revoked(self) -> None:
        for name, each in tuple(self._documents.items()):
            if name != ROOT.name():
                del self._documents[name]
                if (error := self._keep_again(name, as_answer(each))) is not None:
                    _tell_unserved(name, error)

    def _keep_again(self, name: str, answer: Answer) -> DonjonError | None:
        try:
            self.keep(self.prove(documents.find_request(name), answer))
        except DonjonError as error:
            return error
        return None


def _tell_unserved(name: str, error: DonjonError) -> None:
    say(LOG, "stored collateral not served", level=logging.ERROR, document=name, code=error.code, error=error.message)


def as_answer(document: Document) -> Answer:
    """The answer of the upstream from which the document was read."""
    return Answer(body=document.body, chain=document.chain)
