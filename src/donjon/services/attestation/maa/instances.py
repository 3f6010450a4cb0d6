"""Instances: under which names each speaks, what its operator has settled, and what is kept of its policies.

What is kept is read once and stays ready; who decides by it says by which generation (`Journal.keep`), so that nothing is decided
by a policy that another process has replaced meanwhile.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from donjon.adapters.storage.instances import InstanceTable, StoredInstance
from donjon.attestation import appraise
from donjon.attestation.acceptance import Acceptance
from donjon.attestation.appraise import PolicyInForce
from donjon.attestation.token import Authorities, TokenAuthority
from donjon.errors import DonjonError, Misconfigured
from donjon.findings import Finding, codes
from donjon.maa import policies
from donjon.maa.instances import Mode, Trust
from donjon.maa.instances import appraise as appraise_signers
from donjon.maa.policies import PolicyToken
from donjon.maa.versions import AttestationType
from donjon.services.attestation.judging import Criteria
from donjon.services.attestation.settings.instances import InstanceSettings
from donjon.services.attestation.turns import Line, Turns
from donjon.signing import signer_certificate
from donjon.signing.signer import Signer
from donjon.signing.signer_certificate import SignerCertificate


class SigningRing(Protocol):
    """The keys under which one issuer signs: `adapters.keys.rings` has them."""

    def signer(self) -> Signer:
        """The key that signs now."""

    def published(self) -> tuple[Signer, ...]:
        """The keys by which tokens may still be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIssuer:
    """An issuer of tokens: its URL and its keys."""

    url: str
    ring: SigningRing
    _authorities: dict[str, TokenAuthority] = field(default_factory=dict, repr=False, compare=False)

    def authority(self) -> TokenAuthority:
        """The authority that issues tokens now: the same object until the key changes."""
        signer = self.ring.signer()
        authority = self._authorities.get(signer.kid)
        if authority is None or authority.signer is not signer:
            self._authorities.clear()
            authority = self._authorities[signer.kid] = TokenAuthority(issuer=self.url, signer=signer)
        return authority

    def published(self) -> tuple[TokenAuthority, ...]:
        """The authorities whose tokens are still good."""
        return tuple(TokenAuthority(issuer=self.url, signer=each) for each in self.ring.published())


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """What the database holds of an instance at one generation, and what was made of it."""

    name: str
    generation: int
    trust: Trust
    policy_texts: Mapping[str, str]
    gate: Acceptance
    turns: Turns = field(repr=False, compare=False)
    former: tuple[SignerCertificate, ...] = ()  # removed since they signed a policy that is kept
    _criteria: dict[AttestationType, Criteria] = field(default_factory=dict, repr=False, compare=False)
    _policies: dict[AttestationType, PolicyToken | str | None] = field(default_factory=dict, repr=False, compare=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    async def policy(self, kind: AttestationType) -> PolicyToken | None:
        """The policy of that type, or the default one; raises `Misconfigured` DJ531 where what is kept cannot be applied.

        It is read once, beside the event loop, for it may take most of a second: who comes meanwhile waits for that.
        """
        if kind not in self._policies:
            async with self._reading:
                if kind not in self._policies:
                    self._policies[kind] = await self.turns.take(self.name, Line.ATTEST, partial(self._read, kind))
        policy = self._policies[kind]
        if isinstance(policy, str):
            raise Misconfigured("DJ531", policy)
        return policy

    def _read(self, kind: AttestationType) -> PolicyToken | str | None:
        """The policy, or why it cannot be applied."""
        text = self.policy_texts.get(kind)
        if text is None:
            return policies.default(kind)
        try:
            token = policies.parse_stored(text)
        except DonjonError as error:
            return f"{kind}: the policy that is kept cannot be applied: {error}"
        return self._unsuitable(kind, token.signer) or token

    def _unsuitable(self, kind: AttestationType, signer: SignerCertificate | None) -> str | None:
        """Why nothing that this one signed applies: set while the mode was another, or by somebody who wrote to the database."""
        if self.trust.mode is not Mode.ISOLATED:
            return None
        do = "set a signed one, or reset it"
        if signer is None:
            return f"{kind}: the policy that is kept is unsigned; {do}"
        if self.trust.trusts(signer) or any(signer.der == each.der for each in self.former):
            return None
        name = f"signed by {signer.thumbprint()}, which neither is nor was a policy management certificate here"
        return f"{kind}: the policy that is kept is {name}; {do}"

    def signed_by(self, certificates: Iterable[SignerCertificate]) -> tuple[SignerCertificate, ...]:
        """Those of these certificates, each once, by which a policy is signed that is kept."""
        by_der = {each.der: each for each in certificates}
        signs = {signer.der for text in self.policy_texts.values() if (signer := policies.signer(text)) is not None}
        return tuple(each for der, each in by_der.items() if der in signs)

    async def criteria(self, kind: AttestationType) -> Criteria:
        """What quotes of that type are judged by, made once; for types that are attested."""
        if (criteria := self._criteria.get(kind)) is None:
            policy = await self.policy(kind)
            if policy is None:
                raise Misconfigured("DJ531", f"{kind}: no policy, and none is the default")
            criteria = self._criteria[kind] = self.with_policy(policy.in_force())
        return criteria

    def with_policy(self, policy: PolicyInForce) -> Criteria:
        """With this policy in place of what is kept."""
        return Criteria(policy=policy, gate=appraise.raise_baseline(self.gate, policy.baseline))


class Instance:
    """One instance; `issuer` is the one under which it is served and issues tokens, `turns` does what takes long."""

    def __init__(self, settings: InstanceSettings, issuer: InstanceIssuer, table: InstanceTable, turns: Turns) -> None:
        self._settings, self.issuer, self._table, self.turns = settings, issuer, table, turns
        self._record: StoredInstance | None = None
        self._state: InstanceState | None = None

    @property
    def name(self) -> str:
        """The name by which settings, database and audit know the instance."""
        return self._settings.name

    def authorities(self) -> Authorities:
        """Who speaks now: of real platforms, or of simulated ones."""
        now = self.issuer.authority()
        return Authorities(real=None, simulated=now) if self._settings.simulated else Authorities(real=now)

    async def state(self, *, reread: bool = False) -> InstanceState:
        """What holds now, as last read, or `reread`; raises `Unavailable` DJ502, and `Misconfigured` DJ531."""
        if reread or self._state is None:
            record = await asyncio.to_thread(self._table.read, self.name)
            if self._state is None or record != self._record:  # What was read already need not be read again.
                self._state, self._record = read_state(self._settings, record, self.turns), record
        return self._state


def read_state(settings: InstanceSettings, record: StoredInstance, turns: Turns) -> InstanceState:
    """What that record makes of the instance; raises `Misconfigured` DJ531 for a certificate that cannot be read."""
    return InstanceState(
        name=settings.name,
        generation=record.generation,
        trust=_trust(settings, record),
        policy_texts=record.policies,
        gate=settings.gate,
        turns=turns,
        former=_parse(record.former, settings.name),
    )


def unreadable(name: str, error: Misconfigured) -> Finding:
    """What is amiss with an instance of which `read_state` makes nothing."""
    return Finding.error(error.code, f"instance {name}", error.message, "it answers nothing", "see who wrote to the database")


async def faults(state: InstanceState, moment: datetime) -> tuple[Finding, ...]:
    """What of an instance does not serve, or soon will not: policies that cannot be applied, and who may sign others."""
    subject = f"instance {state.name}"
    findings = []
    for name in sorted(state.policy_texts.keys() & set(AttestationType)):
        try:
            await state.policy(AttestationType(name))
        except Misconfigured as error:
            do = f"donjon policy set FILE --type {name}, or reset"
            observation = error.message.removeprefix(f"{name}: ")
            findings.append(
                Finding.error(codes.NOT_APPLICABLE, f"{subject}: {name}", observation, "nothing is attested by it", do)
            )
    holders = appraise_signers(state.trust, moment, f"{subject}: policy management certificates")
    return tuple(findings) if holders is None else (*findings, holders)


def _trust(settings: InstanceSettings, record: StoredInstance) -> Trust:
    if settings.mode is Mode.AAD:
        return Trust(mode=Mode.AAD)
    return Trust(mode=Mode.ISOLATED, certificates=_parse(record.certificates, settings.name) or settings.certificates)


def _parse(certificates: tuple[bytes, ...], name: str) -> tuple[SignerCertificate, ...]:
    try:
        return tuple(map(signer_certificate.parse, certificates))
    except DonjonError as error:
        raise Misconfigured("DJ531", f"{name}: a certificate that is kept cannot be read: {error}") from error
