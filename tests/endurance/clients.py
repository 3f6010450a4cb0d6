"""Clients that set policies and attest, and write down what they were answered."""

from dataclasses import dataclass, field

import httpx2
from tests.attestation import recordings
from tests.attestation.recordings import text
from tests.endurance import process
from tests.endurance.process import Process

from donjon.formats.json import JsonObject
from donjon.maa import policies


@dataclass
class Ledger:
    """One client, the only one who sets the policy of this type at this instance; each policy issues its number as `turn`."""

    instance: str
    kind: str
    acknowledged: int = 0  # the turn of the last policy that was
    sent: dict[str, int] = field(default_factory=dict)  # policy tokens
    kept: set[str] = field(default_factory=set)  # of what was acknowledged: hashes of policy tokens, identifiers of tokens
    wrong: list[str] = field(default_factory=list)

    def work(self, at: Process) -> None:
        """Set a policy and attest by it, again and again, until the service is no more."""
        with process.client(at) as client:
            try:
                while not self.wrong:
                    self.turn(client)
            except httpx2.TransportError:
                return

    def look(self, client: httpx2.Client) -> None:
        """The policy that is there is the last that was acknowledged, or one that was sent later."""
        told = self._claims(client.get(f"/{self.instance}/policies/{self.kind}"))
        turn = self.sent.get(text(told["x-ms-policy"]), 0)
        if turn < self.acknowledged:
            self.wrong.append(f"{self.instance} {self.kind}: policy {turn}, though {self.acknowledged} was acknowledged")
        self.acknowledged = turn

    def turn(self, client: httpx2.Client) -> None:
        """A new policy, and a token by it."""
        self.kept.add(text(self._claims(self.put(client))["x-ms-policy-token-hash"]))
        self.acknowledged = len(self.sent)
        claims = self._claims(process.attest(client, self.instance, self.kind))
        if (turn := claims.get("turn")) != self.acknowledged:
            self.wrong.append(f"{self.instance} {self.kind}: attested by policy {turn}, expected {self.acknowledged}")
        self.kept.add(text(claims["jti"]))

    def put(self, client: httpx2.Client) -> httpx2.Response:
        """Sends the next policy."""
        turn = len(self.sent) + 1
        policy = f'version=1.0; authorizationrules{{=> permit();}}; issuancerules{{=> issue(type="turn", value={turn});}};'
        token = policies.unsecured_token(policy)
        self.sent[token] = turn
        return client.put(f"/{self.instance}/policies/{self.kind}", content=token, headers={"content-type": "text/plain"})

    def _claims(self, answer: httpx2.Response) -> JsonObject:
        assert answer.is_success, f"{self.instance} {self.kind}: {answer.status_code} {answer.text}"
        return recordings.part(answer.json()["token"].split(".")[1])
