"""Instances: under which names each speaks, what its operator has settled, and what is kept of its policies.

What is kept is read once and stays ready; who decides by it says by which generation (`Journal.keep`), so that nothing is decided
by a policy that another process has replaced meanwhile.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from donjon.adapters.storage.instances import InstanceTable, StoredInstance
from donjon.attestation import appraise
from donjon.attestation.acceptance import Acceptance
from donjon.attestation.appraise import PolicyInForce
from donjon.attestation.token import Authorities, TokenAuthority
from donjon.errors import DonjonError, Misconfigured
from donjon.maa import policies
from donjon.maa.instances import Mode, Trust
from donjon.maa.policies import PolicyToken
from donjon.maa.versions import AttestationType
from donjon.services.attestation.settings.instances import InstanceSettings
from donjon.services.attestation.turns import Line, Turns
from donjon.signing import signer_certificate
from donjon.signing.signer import Signer
from donjon.signing.signer_certificate import SignerCertificate


class Ring(Protocol):
    """The keys of one name."""

    def signer(self) -> Signer:
        """Who signs now."""

    def published(self) -> tuple[Signer, ...]:
        """All by whose keys tokens may still be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One name under which tokens are issued, and its keys."""

    issuer: str
    ring: Ring
    _made: dict[str, TokenAuthority] = field(default_factory=dict, repr=False, compare=False)

    def authority(self) -> TokenAuthority:
        """Who signs now."""
        signer = self.ring.signer()
        made = self._made.get(signer.kid)
        if made is None or made.signer is not signer:
            self._made.clear()
            made = self._made[signer.kid] = TokenAuthority(issuer=self.issuer, signer=signer)
        return made

    def published(self) -> tuple[TokenAuthority, ...]:
        """Everybody whose tokens are still good."""
        return tuple(TokenAuthority(issuer=self.issuer, signer=each) for each in self.ring.published())


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a quote of one type is held against."""

    policy: PolicyInForce
    gate: Acceptance


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An instance at one generation."""

    name: str
    generation: int
    trust: Trust
    kept: Mapping[str, str]
    gate: Acceptance
    turns: Turns = field(repr=False, compare=False)
    former: tuple[SignerCertificate, ...] = ()  # removed since they signed a policy that is kept
    _applied: dict[AttestationType, Applied] = field(default_factory=dict, repr=False, compare=False)
    _known: dict[AttestationType, PolicyToken | str | None] = field(default_factory=dict, repr=False, compare=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    async def policy(self, kind: AttestationType) -> PolicyToken | None:
        """The policy of that type, or the default one; raises `Misconfigured` DJ531 where what is kept cannot be applied.

        It is read once, beside the event loop, for it may take most of a second: who comes meanwhile waits for that.
        """
        if kind not in self._known:
            async with self._reading:
                if kind not in self._known:
                    self._known[kind] = await self.turns.take(self.name, Line.ATTEST, partial(self._read, kind))
        found = self._known[kind]
        if isinstance(found, str):
            raise Misconfigured("DJ531", found)
        return found

    def _read(self, kind: AttestationType) -> PolicyToken | str | None:
        """The policy, or why it cannot be applied."""
        text = self.kept.get(kind)
        if text is None:
            return policies.default(kind)
        try:
            found = policies.parse_stored(text)
        except DonjonError as error:
            return f"{kind}: the policy that is kept cannot be applied: {error}"
        return self._unsuitable(kind, found.signer) or found

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
        found = {each.der: each for each in certificates}
        signs = {signer.der for text in self.kept.values() if (signer := policies.signer(text)) is not None}
        return tuple(each for der, each in found.items() if der in signs)

    async def applied(self, kind: AttestationType) -> Applied:
        """The same, ready; for types that are attested."""
        if (found := self._applied.get(kind)) is None:
            policy = await self.policy(kind)
            if policy is None:
                raise Misconfigured("DJ531", f"{kind}: no policy, and none is the default")
            found = self._applied[kind] = self.trying(policy.in_force())
        return found

    def trying(self, policy: PolicyInForce) -> Applied:
        """With this policy in place of what is kept."""
        return Applied(policy=policy, gate=appraise.raise_baseline(self.gate, policy.baseline))


class Instance:
    """One instance; `speaks` is the name under which it is served and issues tokens, `turns` does what takes long."""

    def __init__(self, settings: InstanceSettings, speaks: Name, table: InstanceTable, turns: Turns) -> None:
        self._settings, self.speaks, self._table, self.turns = settings, speaks, table, turns
        self._kept: StoredInstance | None = None
        self._standing: Standing | None = None

    @property
    def name(self) -> str:
        """By which the database knows it."""
        return self._settings.name

    def authorities(self) -> Authorities:
        """Who speaks now: of real platforms, or of simulated ones."""
        now = self.speaks.authority()
        return Authorities(real=None, simulated=now) if self._settings.simulated else Authorities(real=now)

    async def standing(self, *, again: bool = False) -> Standing:
        """What holds now, as last read, or read `again`; raises `Unavailable` DJ502, and `Misconfigured` DJ531."""
        if again or self._standing is None:
            kept = await asyncio.to_thread(self._table.read, self.name)
            if self._standing is None or kept != self._kept:  # What was read already need not be read again.
                self._standing, self._kept = self._read(kept), kept
        return self._standing

    def _read(self, kept: StoredInstance) -> Standing:
        return Standing(
            name=self.name,
            generation=kept.generation,
            trust=self._trust(kept),
            kept=kept.policies,
            gate=self._settings.gate,
            turns=self.turns,
            former=self._parsed(kept.former),
        )

    def _trust(self, kept: StoredInstance) -> Trust:
        if self._settings.mode is Mode.AAD:
            return Trust(mode=Mode.AAD)
        return Trust(mode=Mode.ISOLATED, certificates=self._parsed(kept.certificates) or self._settings.certificates)

    def _parsed(self, certificates: tuple[bytes, ...]) -> tuple[SignerCertificate, ...]:
        try:
            return tuple(map(signer_certificate.parse, certificates))
        except DonjonError as error:
            raise Misconfigured("DJ531", f"{self.name}: a certificate that is kept cannot be read: {error}") from error
