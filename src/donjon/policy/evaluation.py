"""A policy and claims to a decision.

Sections run in their order, rules in theirs, and what a rule adds is seen by those after it. Every rule of authorizationrules
runs, so that a no tells all its reasons; issuancerules run only after a yes. What cannot be computed ends the evaluation as a no,
in issuancerules too: a claim left out could make a later `![…]` hold. Sources: "Claim rule grammar", "Claim rule functions".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from donjon.findings import Finding
from donjon.policy.budget import WHOLE, Allowance, Budget, Stop
from donjon.policy.claims import MAX_CLAIMS, Claim, Issuer, size, value_type
from donjon.policy.decision import Decision, Entry, Look, Outcome, PolicyVerdict
from donjon.policy.functions import Value
from donjon.policy.matching import Binding, Scene, match_rule, value
from donjon.policy.meaning import is_reserved
from donjon.policy.reasons import denied, failed, not_permitted
from donjon.policy.syntax import DECISIONS, Action, Part, Policy, Property, Rule, Verb

MAX_ISSUED = 64 << 10  # bytes of JSON, of all claims and properties that are issued together
RULE = 4  # steps that a rule takes beside its conditions and what it makes


def evaluate(policy: Policy, claims: Sequence[Claim], allowance: Allowance = WHOLE) -> Decision:
    """What the policy says of these claims."""
    run = _Run(scene=Scene(Budget(allowance)))
    for claim in claims:
        run.scene.add(claim)
    for part in Part:
        for number, rule in enumerate(policy.rules(part), 1):
            run.trace.append(run.rule(rule, part, number))
        if part is Part.AUTHORIZATION and not run.permitted:
            run.over = True
    return run.decision()


def configuration(policy: Policy) -> tuple[Claim, ...]:
    """The properties that configurationrules issue: they need no claims, and tell how evidence is to be looked at."""
    run = _Run(scene=Scene(Budget()))
    for number, rule in enumerate(policy.rules(Part.CONFIGURATION), 1):
        run.rule(rule, Part.CONFIGURATION, number)
    return tuple(run.properties)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One evaluation under way."""

    scene: Scene
    issued: list[Claim] = field(default_factory=list)
    properties: list[Claim] = field(default_factory=list)
    trace: list[Entry] = field(default_factory=list)
    decided: set[Verb] = field(default_factory=set)
    leaving: int = 0  # bytes of what is issued
    over: bool = False  # nothing after this is run

    @property
    def permitted(self) -> bool:
        return not self.over and self.decided == {Verb.PERMIT}

    def rule(self, rule: Rule, part: Part, number: int) -> Entry:
        """Run one rule, unless nothing is run any more."""
        if self.over:
            return Entry(part=part, number=number, rule=rule, outcome=Outcome.NOT_REACHED)
        looks: tuple[Look, ...] = ()
        try:
            self._room(0)
            self.scene.budget.step(RULE + len(rule.conditions))
            bindings, looks = match_rule(rule, self.scene)
            produced = tuple([claim for binding in bindings for claim in self._done(rule.action, part, binding)])
        except Stop as stop:
            self.over = True
            return Entry(
                part=part, number=number, rule=rule, outcome=Outcome.FAILED, looks=looks, failure=stop.reason, code=stop.code
            )
        outcome = Outcome.FIRED if bindings else Outcome.DID_NOT_FIRE
        return Entry(part=part, number=number, rule=rule, outcome=outcome, looks=looks, produced=produced)

    def _done(self, action: Action, part: Part, binding: Binding) -> Iterator[Claim]:
        """Do the action for one combination of claims; the claims that it made."""
        self.scene.budget.step()
        if action.verb in DECISIONS:
            self.decided.add(action.verb)
            return
        for claim in _claims(action, binding, self.scene):
            _may_leave(claim, action.verb, part)
            self._take(claim, action, part)
            yield claim

    def _take(self, claim: Claim, action: Action, part: Part) -> None:
        if action.claim is None:  # A claim that a name stands for is among the incoming ones already.
            self._room(1)
            self.scene.add(claim)
        if action.verb is Verb.ISSUE and part is Part.ISSUANCE:
            self._charge(claim)
            self.issued.append(claim)
        if action.verb is Verb.ISSUE_PROPERTY:
            self._charge(claim)
            self.properties.append(claim)

    def _charge(self, claim: Claim) -> None:
        """Count what leaves: a token is answered to whoever asks, so a policy must not make much of little."""
        self.leaving += size(claim)
        if self.leaving > MAX_ISSUED:
            raise Stop("DJ454", f"claims of more than {MAX_ISSUED} bytes together")

    def _room(self, more: int) -> None:
        if len(self.scene.claims) + more > MAX_CLAIMS:
            raise Stop("DJ413", f"more than {MAX_CLAIMS} claims")

    def decision(self) -> Decision:
        verdict, findings = self._verdict()
        yes = verdict is PolicyVerdict.PERMITTED
        return Decision(
            verdict=verdict,
            findings=findings,
            issued=tuple(self.issued) if yes else (),
            properties=tuple(self.properties) if yes else (),
            trace=tuple(self.trace),
            effort=self.scene.budget.spent,
            exhausted=self.scene.budget.exhausted,
        )

    def _verdict(self) -> tuple[PolicyVerdict, tuple[Finding, ...]]:
        refusals = denied(self.trace)
        if refusals:
            return PolicyVerdict.DENIED, refusals
        broken = failed(self.trace)
        if broken:
            return PolicyVerdict.FAILED, broken
        if Verb.PERMIT in self.decided:
            return PolicyVerdict.PERMITTED, ()
        return PolicyVerdict.NOT_PERMITTED, not_permitted(self.trace)


def _claims(action: Action, binding: Binding, scene: Scene) -> Iterator[Claim]:
    """The claims of a name as they are, or new ones: one for each member of the value."""
    if action.claim is not None:
        yield from (scene.claims[place] for place in binding[action.claim])
        return
    values = {assignment.property: value(assignment.expression, binding, scene) for assignment in action.assignments}
    name = _type(values[Property.TYPE])
    members = values[Property.VALUE]
    for member in members.members:
        claim = Claim(type=name, value=member, issuer=Issuer.POLICY, read_only=members.read_only)
        _check_stated_properties(claim, values)
        yield claim


def _type(type_value: Value) -> str:
    match type_value.members:
        case (str() as name,) if name:
            return name
        case _:
            raise Stop("DJ412", "the type of a new claim is not one text")


def _check_stated_properties(claim: Claim, values: dict[Property, Value]) -> None:
    """A rule may state the value's type and the issuer, as long as that is what they are."""
    for name in (Property.VALUE_TYPE, Property.ISSUER):
        if name in values and values[name].members != (claim.property(name),):
            expected = value_type(claim.value) if name is Property.VALUE_TYPE else claim.issuer
            raise Stop("DJ412", f"{name} of the new claim {claim.type} is stated as something else than {expected}")


def _may_leave(claim: Claim, verb: Verb, part: Part) -> None:
    """Read-only claims never leave; the token's own names only with what the service itself says of them."""
    if verb is Verb.ADD or part is Part.AUTHORIZATION:
        return
    if claim.read_only:
        raise Stop("DJ414", f"{verb}() of {claim.type}, which comes of a read-only claim")
    if verb is Verb.ISSUE and claim.issuer is not Issuer.SERVICE and is_reserved(claim.type):
        raise Stop("DJ415", f"{verb}() of {claim.type}, a name that is the token's own, with a value by {claim.issuer}")
