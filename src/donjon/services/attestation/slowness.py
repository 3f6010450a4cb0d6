"""Which policies are known to take long, and on how much.

What takes long on much data that a stranger sends may take no time on little: who sends little is not made to wait for it.
"""

from collections import OrderedDict

from donjon.attestation.appraise import PolicyInForce
from donjon.attestation.claims import ClaimSet

MAX_RULES = 200  # of a policy that is evaluated on the event loop; what each takes by itself is not in an allowance
MAX_KNOWN = 1_000  # of which one that is forgotten costs another glance


class Slowness:
    """Remembers on which policies and how much data evaluation took long."""

    def __init__(self) -> None:
        self._slow_cases: OrderedDict[tuple[str, int], None] = OrderedDict()

    def foresees(self, policy: PolicyInForce, statement: ClaimSet) -> bool:
        """Whether that will take long, as far as can be said before."""
        return (
            policy.draft
            or sum(len(each.rules) for each in policy.policy.sections) > MAX_RULES
            or _case(policy, statement) in self._slow_cases
        )

    def learn(self, policy: PolicyInForce, statement: ClaimSet) -> None:
        """Remember that this policy took long on as much data."""
        self._slow_cases[_case(policy, statement)] = None
        while len(self._slow_cases) > MAX_KNOWN:
            self._slow_cases.popitem(last=False)


def _case(policy: PolicyInForce, statement: ClaimSet) -> tuple[str, int]:
    """The policy, and how much it is given: as much as half of it, or as twice of it, is another case."""
    characters = sum(len(claim.value) for claim in statement.incoming if isinstance(claim.value, str))
    return policy.hash, characters.bit_length()
