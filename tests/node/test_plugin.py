"""The device plugin of one resource as a state machine: what is seen, what is done, and that it always arrives."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donjon.node.plugin import (
    DEAF_LOOKS,
    MAX_SKIPPED_LOOKS,
    Endpoint,
    Phase,
    PluginAction,
    PluginEvent,
    SocketIdentity,
    Surroundings,
    after_action,
    look,
)

OURS: SocketIdentity = (1, 10, 100)
ANOTHER: SocketIdentity = (1, 11, 101)
KUBELET: SocketIdentity = (1, 20, 200)
NEW_KUBELET: SocketIdentity = (1, 21, 201)

SEEN = Surroundings(offered=True, socket=OURS, kubelet=KUBELET, listening=True)
IDLE = Endpoint()
BINDING = Endpoint(phase=Phase.BINDING)
BOUND = Endpoint(phase=Phase.BOUND, socket=OURS)
REGISTERING = Endpoint(phase=Phase.REGISTERING, socket=OURS, kubelet=KUBELET)
REGISTERED = Endpoint(phase=Phase.REGISTERED, socket=OURS, kubelet=KUBELET)


@pytest.mark.parametrize(
    ("before", "changed", "phase", "action"),
    [
        (IDLE, {"socket": None}, Phase.BINDING, PluginAction.BIND),
        (IDLE, {"socket": None, "kubelet": None}, Phase.BINDING, PluginAction.BIND),
        (IDLE, {"offered": False}, Phase.IDLE, None),
        (BINDING, {}, Phase.BINDING, None),
        (BINDING, {"offered": False}, Phase.BINDING, None),
        (BOUND, {}, Phase.REGISTERING, PluginAction.REGISTER),
        (BOUND, {"kubelet": None}, Phase.BOUND, None),
        (BOUND, {"socket": None}, Phase.BINDING, PluginAction.BIND),
        (BOUND, {"offered": False}, Phase.IDLE, PluginAction.CLOSE),
        (REGISTERING, {}, Phase.REGISTERING, None),
        (REGISTERING, {"kubelet": NEW_KUBELET}, Phase.REGISTERING, None),
        (REGISTERING, {"socket": None}, Phase.REGISTERING, None),
        (REGISTERING, {"offered": False}, Phase.REGISTERING, None),
        (REGISTERED, {}, Phase.REGISTERED, None),
        (REGISTERED, {"kubelet": None}, Phase.REGISTERED, None),
        (REGISTERED, {"kubelet": NEW_KUBELET}, Phase.REGISTERING, PluginAction.REGISTER),
        (REGISTERED, {"socket": None}, Phase.BINDING, PluginAction.BIND),
        (REGISTERED, {"socket": ANOTHER}, Phase.BINDING, PluginAction.BIND),
        (REGISTERED, {"socket": None, "kubelet": NEW_KUBELET}, Phase.BINDING, PluginAction.BIND),
        (REGISTERED, {"offered": False}, Phase.IDLE, PluginAction.CLOSE),
        (REGISTERED, {"offered": False, "socket": None, "kubelet": None}, Phase.IDLE, PluginAction.CLOSE),
    ],
)
def test_a_look_leads_to_the_phase_and_the_action_of_the_table(
    before: Endpoint, changed: dict[str, object], phase: Phase, action: PluginAction | None
) -> None:
    after, done = look(before, replace(SEEN, **changed))  # type: ignore[arg-type]  # A table's columns have one type.
    assert (after.phase, done) == (phase, action)


@pytest.mark.parametrize(
    ("before", "event", "phase"),
    [
        (BINDING, PluginEvent.DONE, Phase.BOUND),
        (BINDING, PluginEvent.FAILED, Phase.IDLE),
        (REGISTERING, PluginEvent.DONE, Phase.REGISTERED),
        (REGISTERING, PluginEvent.FAILED, Phase.BOUND),
    ],
)
def test_an_answer_leads_to_the_phase_of_the_table(before: Endpoint, event: PluginEvent, phase: Phase) -> None:
    assert after_action(before, event, socket=OURS).phase is phase


@pytest.mark.parametrize("before", [IDLE, BOUND, REGISTERED])
@pytest.mark.parametrize("event", [PluginEvent.DONE, PluginEvent.FAILED])
def test_an_answer_that_nobody_waits_for_is_a_mistake_of_the_edge(before: Endpoint, event: PluginEvent) -> None:
    with pytest.raises(KeyError):
        after_action(before, event)


def test_registers_in_two_looks_where_everything_works() -> None:
    endpoint, action = look(IDLE, replace(SEEN, socket=None))
    assert action is PluginAction.BIND
    endpoint = after_action(endpoint, PluginEvent.DONE, socket=OURS)
    endpoint, action = look(endpoint, SEEN)
    assert action is PluginAction.REGISTER
    endpoint = after_action(endpoint, PluginEvent.DONE)
    assert (endpoint.phase, endpoint.kubelet, endpoint.socket) == (Phase.REGISTERED, KUBELET, OURS)
    assert look(endpoint, SEEN) == (endpoint, None)


def test_a_socket_bound_anew_is_registered_anew_with_the_same_kubelet() -> None:
    endpoint, _ = look(REGISTERED, replace(SEEN, socket=None))
    endpoint = after_action(endpoint, PluginEvent.DONE, socket=ANOTHER)
    _, action = look(endpoint, replace(SEEN, socket=ANOTHER))
    assert action is PluginAction.REGISTER


def test_a_failed_registration_is_tried_again_with_the_same_kubelet() -> None:
    endpoint = after_action(REGISTERING, PluginEvent.FAILED)
    endpoint, action = look(endpoint, SEEN)
    assert action is None
    _, action = look(endpoint, SEEN)
    assert action is PluginAction.REGISTER


def test_failures_skip_more_looks_each_time_up_to_a_bound_and_success_forgets_them() -> None:
    endpoint, skipped = BOUND, []
    for _ in range(5):
        endpoint, action = look(endpoint, SEEN)
        assert action is PluginAction.REGISTER
        endpoint = after_action(endpoint, PluginEvent.FAILED)
        skipped.append(endpoint.skip)
        while endpoint.skip:
            endpoint, action = look(endpoint, SEEN)
            assert action is None
    assert skipped == [1, 2, MAX_SKIPPED_LOOKS, MAX_SKIPPED_LOOKS, MAX_SKIPPED_LOOKS]
    endpoint, _ = look(endpoint, SEEN)
    assert after_action(endpoint, PluginEvent.DONE).failures == 0


IDENTITIES = st.one_of(st.none(), st.tuples(st.just(1), st.integers(0, 3), st.integers(0, 3)))
SURROUNDINGS = st.builds(Surroundings, offered=st.booleans(), socket=IDENTITIES, kubelet=IDENTITIES, listening=st.booleans())
ANSWERS = st.sampled_from([PluginEvent.DONE, PluginEvent.FAILED, None])  # None: the action is still under way at the next look.
CALM_LOOKS = 2 * (MAX_SKIPPED_LOOKS + 1) + 3


def waits_for_an_answer(endpoint: Endpoint) -> bool:
    return endpoint.phase in {Phase.BINDING, Phase.REGISTERING}


def test_a_kubelet_that_stopped_listening_is_registered_with_again_less_and_less_often() -> None:
    endpoint, looks = REGISTERED, []
    deaf = replace(SEEN, listening=False)
    for _ in range(4):
        count = 0
        action = None
        while action is None:
            endpoint, action = look(endpoint, deaf)
            count += 1
        assert action is PluginAction.REGISTER
        endpoint = after_action(endpoint, PluginEvent.DONE)
        looks.append(count)
    assert looks == [DEAF_LOOKS, 2 * DEAF_LOOKS, 4 * DEAF_LOOKS, 8 * DEAF_LOOKS]


def test_a_kubelet_that_listens_in_between_is_not_registered_with_again() -> None:
    endpoint, action = REGISTERED, None
    for number in range(10 * DEAF_LOOKS):
        endpoint, action = look(endpoint, replace(SEEN, listening=number % 3 == 0))
        assert action is None


@settings(max_examples=300)
@given(
    history=st.lists(st.tuples(SURROUNDINGS, ANSWERS), max_size=40),
    ending=st.sampled_from([PluginEvent.DONE, PluginEvent.FAILED]),
)
def test_after_any_history_a_calm_kubelet_has_it_registered_within_a_few_looks(
    history: list[tuple[Surroundings, PluginEvent | None]], ending: PluginEvent
) -> None:
    endpoint = IDLE
    for seen, told in history:
        endpoint, _ = look(endpoint, seen)
        if waits_for_an_answer(endpoint) and told is not None:
            endpoint = after_action(endpoint, told, socket=seen.socket or OURS)
    if waits_for_an_answer(endpoint):
        endpoint = after_action(endpoint, ending, socket=OURS)
    standing: SocketIdentity | None = endpoint.socket
    bound = 0
    for _ in range(CALM_LOOKS):
        endpoint, action = look(endpoint, Surroundings(offered=True, socket=standing, kubelet=NEW_KUBELET, listening=True))
        if action is PluginAction.BIND:
            bound += 1
            standing = (2, bound, bound)
            endpoint = after_action(endpoint, PluginEvent.DONE, socket=standing)
        elif action is PluginAction.REGISTER:
            endpoint = after_action(endpoint, PluginEvent.DONE)
    assert (endpoint.phase, endpoint.kubelet, endpoint.socket) == (Phase.REGISTERED, NEW_KUBELET, standing)


@given(history=st.lists(st.tuples(SURROUNDINGS, ANSWERS), max_size=40))
def test_nothing_is_done_twice_at_once_and_what_is_withdrawn_is_closed(
    history: list[tuple[Surroundings, PluginEvent | None]],
) -> None:
    endpoint, served = IDLE, False
    for seen, told in history:
        busy = waits_for_an_answer(endpoint)
        endpoint, action = look(endpoint, seen)
        assert action is None or not busy
        assert action is not PluginAction.CLOSE or served
        if action is PluginAction.CLOSE:
            served = False
        if waits_for_an_answer(endpoint) and told is not None:
            served = served if endpoint.phase is Phase.REGISTERING else told is PluginEvent.DONE
            endpoint = after_action(endpoint, told, socket=seen.socket or OURS)
        assert endpoint.phase is not Phase.IDLE or not served
