"""Which machines a demand takes, and how many: each size is ruled out by something or proposed, and both are said.

What no source says of a size rules it out where it is asked for: a machine is not bought on a guess.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from donjon.findings import Finding, Severity
from donjon.fleet.machines.catalogue import METAL, Catalogue, Sku, age_warnings
from donjon.fleet.machines.packing import AZURE, KERNEL_SHARE, LEAST_CPUS, Packing, PodGroup, beside, obstacle, pack, room
from donjon.kube import quantities
from donjon.kube.names import EPC
from donjon.kube.quantities import readable
from donjon.kube.reserved import Amounts

HOURS = 730  # of a month
SOCKETS = 2  # of a server that is proposed
SOON = 12  # months before its end in which a size is warned of
FEATURES: Mapping[str, str] = {
    "accelerated_networking": "accelerated networking (SR-IOV)",
    "edmm": "enclaves that grow and shrink (EDMM, SGX2)",
    "kss": "key separation and sharing (KSS)",
    "spot": "spot machines",
    "premium_storage": "premium storage",
    "ephemeral_os_disk": "an operating system disk on the machine itself",
}
"""What may be asked of a machine, by the fact that says whether it has it."""

_NAMES = {EPC: "EPC", "memory": "memory beside EPC", "cpu": "processors", "pods": "pods"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked for."""

    groups: tuple[PodGroup, ...]
    features: frozenset[str] = frozenset()
    region: str = ""  # any
    provider: str = ""  # any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A size that is ruled out, and by what."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A size that would do."""

    machine: Sku
    count: int
    left: Amounts  # on all of them together
    monthly_cost: Decimal | None  # US dollars; `None` where no price is known
    region: str  # whose price it is
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetalProposal:
    """Machines of one's own that have the EPC; memory and processors are chosen when they are bought."""

    machine: Sku
    count: int
    setting: int  # bytes of EPC a socket, to be set in the firmware


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The sizes that would do, the cheapest first of those that anybody may have, and why the others do not."""

    proposals: tuple[Proposal, ...]
    metal: tuple[MetalProposal, ...]  # beside the clouds
    ruled_out: tuple[Ruling, ...]
    warnings: tuple[Finding, ...]


def recommend(catalogue: Catalogue, demand: Demand, today: date) -> Recommendation:
    """Look at every size."""
    proposals: list[Proposal] = []
    ruled_out: list[Ruling] = []
    for machine in catalogue.machines.values():
        if not machine.has_sgx or machine.provider == METAL or demand.provider not in {"", machine.provider}:
            continue  # Of metal one chooses memory and processors oneself; of other providers nobody asked.
        outcome = _judge(machine, demand, today)
        if isinstance(outcome, Ruling):
            ruled_out.append(outcome)
        else:
            proposals.append(outcome)
    return Recommendation(
        proposals=tuple(sorted(proposals, key=lambda each: _order(each, today))),
        metal=tuple(metal(catalogue, demand)),
        ruled_out=tuple(ruled_out),
        warnings=(*age_warnings(catalogue, today), *(() if proposals else ways_out(demand))),
    )


def _order(proposal: Proposal, today: date) -> tuple[bool, bool, Decimal, int, str]:
    """What anybody may have goes first; without a price the fewest processors, by which machines are priced."""
    cost, closed, cpus = proposal.monthly_cost, proposal.machine.closed_to_new, proposal.machine.cpus or 0
    return (
        closed is not None and closed <= today,
        cost is None,
        cost or Decimal(0),
        proposal.count * cpus,
        proposal.machine.name,
    )


def metal(catalogue: Catalogue, demand: Demand) -> Iterable[MetalProposal]:
    """Each class of processors whose sockets can be given the EPC, with the smallest setting that does."""
    total = sum((each.requests.get(EPC, Fraction(0)) * each.replicas for each in demand.groups), Fraction(0))
    for machine in catalogue.machines.values():
        settings = sorted(map(quantities.parse, machine.value("epc_settings").split()))
        most = machine.value("epc_max_socket")
        usable = [each for each in settings if most and each <= quantities.parse(most)]
        if machine.provider != METAL or "series" in machine.facts or not usable or not total:
            continue  # A model of a series may be given less than the series says.
        count = math.ceil(total / (SOCKETS * usable[-1] * KERNEL_SHARE))
        setting = next(each for each in usable if SOCKETS * each * KERNEL_SHARE * count >= total)
        yield MetalProposal(machine=machine, count=count, setting=setting)


def _judge(machine: Sku, demand: Demand, today: date) -> Ruling | Proposal:
    why = _unfit(machine, demand, today)
    if why:
        return Ruling(name=machine.name, why=why)
    try:
        offer = beside(demand.groups, room(machine))
    except KeyError:
        return Ruling(name=machine.name, why="nobody says how many processors, how much memory or EPC it has")
    for each in demand.groups:
        if lacking := obstacle(each, offer):
            return Ruling(name=machine.name, why=_too_small(each, lacking, offer))
    return _propose(machine, demand, pack(demand.groups, offer), today)


def _unfit(machine: Sku, demand: Demand, today: date) -> str:
    """Why the size is out of the question, whatever its amounts; empty where it is not."""
    if machine.ends is not None and machine.ends <= today:
        return f"was taken away on {machine.ends} ({machine.facts['ends'].statements[0].source.title})"
    if demand.region and demand.region not in machine.regions:
        return f"not offered in {demand.region}"
    if machine.provider == AZURE and (machine.cpus or LEAST_CPUS) < LEAST_CPUS:
        return f"AKS takes no machine of fewer than {LEAST_CPUS} processors"
    for feature in sorted(demand.features):
        if not machine.has(feature):
            return _lacking(machine, feature)
    return ""


def _lacking(machine: Sku, feature: str) -> str:
    if feature not in machine.facts:
        return f"nobody says whether it has {FEATURES[feature]}"
    return f"has no {FEATURES[feature]} ({machine.facts[feature].statements[0].source.title})"


def _too_small(group: PodGroup, lacking: str, offer: Amounts) -> str:
    amount, there = group.requests.get(lacking, Fraction(1)), max(offer.get(lacking, Fraction(0)), Fraction(0))
    return f"{_text(lacking, there)} of {_NAMES[lacking]}, and {group.name} asks for {_text(lacking, amount)} a pod"


def _text(name: str, amount: Fraction) -> str:
    return readable(int(amount)) if name in {EPC, "memory"} else f"{float(amount):g}"


def _propose(machine: Sku, demand: Demand, packing: Packing, today: date) -> Proposal:
    region = demand.region or _cheapest_region(machine)
    price = machine.prices.get(region)
    return Proposal(
        machine=machine,
        count=packing.count,
        left=packing.left,
        monthly_cost=None if price is None else price.hour * HOURS * packing.count,
        region=region if price is not None else "",
        warnings=(*lifecycle(machine, today), *_disputes(machine, demand), *_alone(machine, demand, packing)),
    )


def _cheapest_region(machine: Sku) -> str:
    return min(machine.prices, key=lambda region: (machine.prices[region].hour, region), default="")


def lifecycle(machine: Sku, today: date) -> Iterable[Finding]:
    """That a size is closed to new subscriptions, and that it ends, as far as it does."""
    closed, ends = machine.closed_to_new, machine.ends
    if ends is not None and ends <= today:
        yield Finding.error(
            "DJ811",
            machine.name,
            f"ended on {ends}",
            "its machines were stopped on that day, and none is made any more",
            f"take another size: donjon sku recommend; its maker points to {machine.value('successor') or 'none'}",
        )
        return
    if closed is not None and closed <= today:
        yield Finding.warning(
            "DJ810",
            machine.name,
            f"is closed to new subscriptions since {closed}",
            "who has none yet gets no quota for it",
            "ask for the quota before you build on it: az vm list-usage; else see the ways out (donjon explain DJ812)",
        )
    if ends is not None:
        months = months_between(today, ends)
        words = machine.value("successor")
        yield Finding(
            code="DJ811",
            severity=Severity.WARNING if months <= SOON else Severity.INFO,
            subject=machine.name,
            observation=f"ends on {ends}, in {months} months",
            why="on that day its machines are stopped",
            do=f"plan the move; its maker points to {words}" if words else "plan the move",
        )


def months_between(today: date, day: date) -> int:
    """Whole months until a day."""
    months = (day.year - today.year) * 12 + day.month - today.month
    return months - 1 if day.day < today.day else months


def _disputes(machine: Sku, demand: Demand) -> Iterable[Finding]:
    for feature in sorted(demand.features):
        fact = machine.facts[feature]
        if fact.is_disputed:
            sayings = "; ".join(f"{each.value}: {each.source.title} ({each.source.date})" for each in fact.statements)
            yield Finding.warning(
                "DJ813",
                machine.name,
                f"sources differ on {FEATURES[feature]}",
                sayings,
                "try one before you build on it",
            )


def _alone(machine: Sku, demand: Demand, packing: Packing) -> Iterable[Finding]:
    if packing.count == 1 and sum(each.replicas for each in demand.groups if not each.on_each_node) > 1:
        yield Finding.info(
            "DJ814",
            machine.name,
            "holds all pods on one machine",
            "while it is drained or fails none of them runs",
            "take a smaller size of which there are two or more, where that matters",
        )


def ways_out(demand: Demand) -> tuple[Finding, ...]:
    """What remains where no size does; first of all to ask for less narrow a thing."""
    largest = max((each.requests.get(EPC, Fraction(0)) for each in demand.groups), default=Fraction(0))
    bounds = (*(f"of {demand.provider}" for _ in demand.provider[:1]), *(f"in {demand.region}" for _ in demand.region[:1]))
    wider = "ask again without --provider and --region; or else " if bounds else ""
    return (
        Finding.warning(
            "DJ812",
            "machines",
            f"no size of a cloud in the catalogue would do{''.join(f', {each}' for each in bounds)}",
            f"one pod asks for {readable(int(largest))} of EPC, and each size is ruled out by what stands beside it",
            f"{wider}bare metal of your own (donjon sku list --provider metal), or a virtual machine under TDX or SEV-SNP, which "
            "protects the whole guest in place of an enclave: donjon explain DJ812",
        ),
    )
