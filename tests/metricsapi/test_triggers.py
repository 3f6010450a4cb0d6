"""A trigger of KEDA: what it may say, what it comes to, and when it comes to nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from donjon.adapters.keda.scaler import ScaleTrigger
from donjon.errors import Malformed, Unavailable
from donjon.kube.epc_report import ContainerEpc, EpcReport, PodContainer
from donjon.metricsapi.series import Series
from donjon.metricsapi.triggers import MAX_WORDS, parse_trigger
from donjon.metricsapi.use import MAX_AGE, NodeUse, PodSite, by_pod
from donjon.services.metrics.scaler import EpcScaler
from donjon.sgx.epc import EpcSource, EpcUse

MIB = 1 << 20
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SAYS = {"metric": "sgx_epc_utilization", "target": "800m", "selector": "app=vault", "scalerAddress": "donjon-metrics.donjon:9812"}


def place(name: str, node: str = "one", *, runs: bool = True, app: str = "vault", request: int = 10) -> PodSite:
    return PodSite(
        namespace="web",
        name=name,
        uid=f"uid-{name}",
        node=node,
        address="",
        labels={"app": app},
        requests={"app": request * MIB} if request else {},
        start=NOW - timedelta(minutes=5),
        runs=runs,
    )


def report(
    node: str, amounts: Mapping[str, tuple[int, int]], *, age: timedelta = timedelta(), source: EpcSource = EpcSource.BPF
) -> NodeUse:
    """What the node's meter said so long ago: of each pod MiB in EPC, and evicted."""
    moment = NOW - age
    uses = {
        name: EpcUse(resident=resident * MIB, existing=(resident + evicted) * MIB, evicted=evicted * MIB)
        for name, (resident, evicted) in amounts.items()
    }
    containers = tuple(
        ContainerEpc(
            name=PodContainer(namespace="web", pod=name, pod_uid=f"uid-{name}", container="app"), request=10 * MIB, use=use
        )
        for name, use in uses.items()
    )
    whole = EpcReport(
        node=node,
        moment=moment.isoformat(),
        source=source,
        total=64 * MIB,
        free=0,
        use=sum(uses.values(), EpcUse()),
        containers=containers,
    )
    return by_pod(whole, moment)


class FakePods:
    def __init__(self, *pods: PodSite) -> None:
        self._pods = {each.name: each for each in pods}

    def of(self, namespace: str) -> Mapping[str, PodSite]:
        return self._pods if namespace == "web" else {}


def scaler(pods: tuple[PodSite, ...], *reports: NodeUse) -> EpcScaler:
    return EpcScaler(FakePods(*pods), {each.report.node: each for each in reports}, lambda: NOW)


def trigger(namespace: str = "web", **says: str) -> ScaleTrigger:
    return ScaleTrigger(namespace=namespace, name="vault", metadata={**SAYS, **says})


TWO = (place("a"), place("b", "two"))
REPORTS = (report("one", {"a": (9, 3), "other": (40, 0)}), report("two", {"b": (2, 0)}))


@pytest.mark.parametrize(
    ("metric", "amount"),
    [
        ("sgx_epc_utilization", 1.4),  # 12 of 10 MiB, and 2 of 10
        ("sgx_epc_resident_bytes", 11 * MIB),
        ("sgx_epc_evicted_bytes", 3 * MIB),
        ("sgx_epc_node_evicted_bytes", 3 * MIB),
    ],
)
def test_the_number_is_the_sum_over_the_pods_that_the_selector_chooses(metric: str, amount: float) -> None:
    pods = (*TWO, place("other", app="other"))
    assert scaler(pods, *REPORTS).amount(trigger(metric=metric), metric) == pytest.approx(amount)


def test_every_figure_can_be_asked_for() -> None:
    assert {parse_trigger("web", "vault", {**SAYS, "metric": each}).series for each in Series} == set(Series)


def test_the_target_is_what_each_pod_may_have() -> None:
    assert scaler(TWO, *REPORTS).target(trigger()) == ("sgx_epc_utilization", 0.8)
    assert scaler(TWO, *REPORTS).target(trigger(metric="sgx_epc_resident_bytes", target="8Mi"))[1] == 8 * MIB


def test_a_word_may_be_of_the_environment_of_the_pods() -> None:
    told = {key: text for key, text in SAYS.items() if key != "target"} | {"targetFromEnv": "500m", "tlsCertFile": "/ca.pem"}
    assert parse_trigger("web", "vault", told) == parse_trigger("web", "vault", SAYS | {"target": "500m"})
    assert parse_trigger("web", "vault", told | {"target": "1"}) == parse_trigger("web", "vault", SAYS | {"target": "1"})
    with pytest.raises(Malformed, match="'listFromEnv' is unknown"):
        parse_trigger("web", "vault", told | {"listFromEnv": "x"})


def test_it_is_active_above_its_activation() -> None:
    assert scaler(TWO, *REPORTS).is_active(trigger())
    assert scaler(TWO, *REPORTS).is_active(trigger(activation="1399m"))
    assert not scaler(TWO, *REPORTS).is_active(trigger(activation="1400m"))


def test_a_pod_of_which_its_node_says_nothing_holds_nothing() -> None:
    assert scaler(TWO, REPORTS[0], report("two", {})).amount(trigger(), "sgx_epc_utilization") == 1.2


def test_a_pod_that_was_never_ready_counts_not_yet() -> None:
    pods = (*TWO, place("c", runs=False))
    assert scaler(pods, *REPORTS).amount(trigger(), "sgx_epc_utilization") == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("pods", "reports", "says"),
    [
        (TWO, REPORTS[:1], "not known of b"),  # no report of its node
        (TWO, (REPORTS[0], report("two", {"b": (2, 0)}, age=MAX_AGE + timedelta(seconds=1))), "not known of b"),  # an old one
        (TWO, (REPORTS[0], report("two", {"b": (2, 0)}, source=EpcSource.MAPS)), "not known of b"),  # evictions are not seen
        ((*TWO, place("c", "two", request=0)), REPORTS, "not known of c"),  # a part of nothing
        (tuple(place(name, "three") for name in "abcde"), REPORTS, "not known of a, b, c and 2 more"),
        ((), REPORTS, "no pod runs"),
        ((place("a", runs=False),), REPORTS, "no pod runs"),
    ],
)
def test_what_is_not_known_of_one_pod_is_no_number_at_all(
    pods: tuple[PodSite, ...], reports: tuple[NodeUse, ...], says: str
) -> None:
    expected = rf"trigger of web/vault: .*{says}.* \[DJ762\]"
    with pytest.raises(Unavailable, match=expected):
        scaler(pods, *reports).amount(trigger(), "sgx_epc_utilization")
    with pytest.raises(Unavailable, match=expected):
        scaler(pods, *reports).is_active(trigger())


def test_by_maps_what_is_resident_is_known() -> None:
    reports = (REPORTS[0], report("two", {"b": (2, 0)}, source=EpcSource.MAPS))
    assert scaler(TWO, *reports).amount(trigger(metric="sgx_epc_resident_bytes"), "sgx_epc_resident_bytes") == 11 * MIB


def test_a_trigger_asks_about_its_own_namespace_alone() -> None:
    with pytest.raises(Unavailable, match="no pod runs"):
        scaler(TWO, *REPORTS).amount(trigger(namespace="others"), "sgx_epc_utilization")


@pytest.mark.parametrize(
    ("says", "fault"),
    [
        ({"metric": "cpu"}, "metric is 'cpu', expected one of sgx_epc_resident_bytes"),
        ({"metric": ""}, "metric is ''"),
        ({"target": ""}, "target is '', expected a quantity"),
        ({"target": "0"}, "target: expected more than 0"),
        ({"target": "1n"}, "target: expected more than 0"),
        ({"target": "-1"}, "target is '-1'"),
        ({"target": "1e40"}, "target is '1e40'"),
        ({"target": "lots"}, "target is 'lots'"),
        ({"activation": "few"}, "activation is 'few'"),
        ({"selector": " "}, "selector is missing"),
        ({"selector": "a in ("}, "selector: label selector"),
        ({"selctor": "app=vault"}, "'selctor' is unknown"),
        ({"selector": "x" * MAX_WORDS}, "at most 16384 characters"),
    ],
)
def test_what_a_trigger_says_wrongly_is_told(says: dict[str, str], fault: str) -> None:
    with pytest.raises(Malformed, match="DJ761") as caught:
        scaler(TWO, *REPORTS).target(trigger(**says))
    assert fault in str(caught.value)
    assert "trigger of web/vault" in str(caught.value)


def test_a_metric_that_the_trigger_does_not_name_is_refused() -> None:
    with pytest.raises(Malformed, match="its metric is sgx_epc_utilization"):
        scaler(TWO, *REPORTS).amount(trigger(), "sgx_epc_evicted_bytes")
