"""What holds of every watch, whatever pods come and go: bounds, no circles, nothing twice, and nobody made Pending by a step."""

from datetime import timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.fleet.scaling import Cloud, made
from tests.fleet.scheduling import pod

from donjon.fleet.scaling.record import ScalingVerb

EVERY = 60
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A case takes seconds, and to make it smaller takes minutes."""
SETTLED = 3 * 60 * 60  # seconds, after which nothing may move any more: a node less each ten minutes, of at most nine

POOLS = st.fixed_dictionaries(
    {
        "sgx1": st.tuples(st.integers(0, 2), st.integers(2, 5), st.just(128)),
        "sgx2": st.tuples(st.integers(0, 1), st.integers(1, 4), st.sampled_from((64, 128, 512))),
    }
)
STAGES = ((0, 0, 0), (60, 90, 120), (120, 180, 300), (60, 60, 500))
"""Seconds until a node registers, is ready, and offers EPC."""
NEVER = ((60, 90, 10**6), (10**6, 10**6, 10**6))
AMOUNTS = st.lists(st.sampled_from((0, 10, 30, 60, 64, 100, 128, 300, 900)), max_size=12)
LOADS = st.lists(st.tuples(AMOUNTS, st.integers(1, 12)), min_size=1, max_size=4)


def cloud_of(pools: dict[str, tuple[int, int, int]], stages: tuple[int, int, int], *, tells: bool) -> Cloud:
    cloud = Cloud(pools, stages=stages, tells_size=tells)
    for name, (least, *_) in pools.items():
        cloud.add(name, max(least, 1 if name == "sgx1" else 0))
    return cloud


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(pools=POOLS, stages=st.sampled_from(STAGES + NEVER), loads=LOADS, tells=st.booleans())
def test_no_step_leaves_bounds_nor_makes_anybody_wait(
    pools: dict[str, tuple[int, int, int]],
    stages: tuple[int, int, int],
    loads: list[tuple[list[int], int]],
    tells: bool,  # noqa: FBT001 - drawn.
) -> None:
    cloud = cloud_of(pools, stages, tells=tells)
    for number, (amounts, minutes) in enumerate(loads):
        cloud.pods = [each for index, each in enumerate(cloud.pods) if index % 2] if number % 2 else cloud.pods
        cloud.pods += [made(pod(f"p{number}-{index}", epc), f"o{index}") for index, epc in enumerate(amounts)]
        for _ in range(minutes):
            _round(cloud)


def _round(cloud: Cloud) -> None:
    cloud.bind()
    before = set(cloud.pending())
    decision = cloud.look()
    cloud.act(decision.steps)
    for name, (least, most, _) in cloud.pools.items():
        assert least <= cloud.size(name) <= most
    if any(each.verb is ScalingVerb.SHRINK for each in decision.steps):
        assert not any(each.verb is ScalingVerb.GROW for each in decision.steps)
        cloud.bind()
        assert set(cloud.pending()) <= before
    cloud.moment += timedelta(seconds=EVERY)


@settings(max_examples=15, deadline=None, phases=PHASES)
@given(pools=POOLS, stages=st.sampled_from(STAGES), amounts=AMOUNTS, tells=st.booleans())
def test_under_a_load_that_stays_steps_end_and_none_undoes_another(
    pools: dict[str, tuple[int, int, int]],
    stages: tuple[int, int, int],
    amounts: list[int],
    tells: bool,  # noqa: FBT001 - drawn.
) -> None:
    cloud = cloud_of(pools, stages, tells=tells)
    cloud.pods = [made(pod(f"p{index}", epc), f"o{index}") for index, epc in enumerate(amounts)]
    for _ in range(SETTLED // 300):
        _round(cloud)
        cloud.moment += timedelta(seconds=240)
    waits, count = cloud.pending(), len(cloud.steps)
    for name in cloud.pools:
        verbs = [step.verb for _, step in cloud.steps if step.pool == name]
        assert verbs == sorted(verbs, key=lambda verb: verb is ScalingVerb.SHRINK), "it grew again after it shrank"
        names = [each for _, step in cloud.steps if step.pool == name for each in step.pods]
        assert len(names) == len(set(names)), "it grew twice for the same pods"
    for _ in range(6):
        _round(cloud)
        cloud.moment += timedelta(seconds=540)
    assert len(cloud.steps) == count
    assert cloud.pending() == waits
    rooms = [epc for name, (_, most, epc) in cloud.pools.items() if cloud.size(name) < most]
    asks = [epc for index, epc in enumerate(amounts) if f"p{index}" in waits]
    assert not any(0 < asked <= room for asked in asks for room in rooms), "a pool could have grown, and did not"
