"""`donjon plan --watch`: steps said as they come, and taken in Azure once, however often it looks and whoever interferes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.adapters.fakearm import Answer, FakeArm, error, ok, serving
from tests.adapters.test_azure_pools import Credential
from tests.fleet.scaling import made
from tests.fleet.scheduling import node, pod

from donjon.adapters import clock
from donjon.adapters.azure import pools as module
from donjon.adapters.azure.pools import AksPools
from donjon.cli.plan.command import plan
from donjon.cli.plan.sizes import AzureSizes
from donjon.cli.plan.sources import ClusterPicture
from donjon.cli.plan.watch import PoolWatch, watch
from donjon.cli.sku.command import catalogue
from donjon.errors import Unavailable
from donjon.fleet.pools.plan import Pool, PoolScale, Scaler
from donjon.fleet.scaling.record import ScalingRules
from donjon.formats.json import JsonObject

START = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
SIZE = "Standard_DC4s_v3"


def here(name: str) -> JsonObject:
    thing: Any = node(name, 128, agentpool="sgx1")
    thing["metadata"]["creationTimestamp"] = START.isoformat()
    return {**thing}


class World:
    """A cluster whose nodes and pods a test writes, a pool of it in Azure, and a watch over both."""

    def __init__(self, arm: FakeArm, azure: AksPools, scale: PoolScale, *, acts: bool = True, as_json: bool = False) -> None:
        self.arm, self.moment = arm, START
        self.nodes: list[JsonObject] = [here("n1")]
        self.pods: list[JsonObject] = [made(pod("there", 100, at="n1")), *(made(pod(f"p{index}", 100)) for index in range(2))]
        self.away = False
        arm.put_there("sgx1", vmSize=SIZE, count=1, mode="User")
        self.watch = self.another(azure, scale, acts=acts, as_json=as_json)

    def another(self, azure: AksPools, scale: PoolScale, *, acts: bool = True, as_json: bool = False) -> PoolWatch:
        return PoolWatch(
            pools=(Pool(name="sgx1", size=SIZE, count=1, scale=scale),),
            skus=catalogue().machines,
            region="westeurope",
            picture=self._picture,
            cloud=AzureSizes(azure),
            rules=ScalingRules(acts=acts),
            as_json=as_json,
        )

    def _picture(self) -> ClusterPicture:
        if self.away:
            raise Unavailable("DJ041", "list nodes: no answer")
        return ClusterPicture(nodes=tuple(self.nodes), pods=tuple(self.pods))

    def look(self, times: int = 1, *, done: bool = True) -> None:
        """So many looks, half a minute from one to the next; with `done`, Azure is through with its change by then."""
        for _ in range(times):
            self.watch.look(self.moment)
            self.moment += timedelta(seconds=30)
            if done:
                self.arm.pools["sgx1"]["provisioningState"] = "Succeeded"

    @property
    def count(self) -> int:
        return int(self.arm.pools["sgx1"]["count"])


BOUNDS = PoolScale(least=1, most=9, by=Scaler.DONJON)


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeArm, AksPools]]:
    arm = FakeArm()
    monkeypatch.setattr(module, "BACKOFF", 0.001)
    with serving(arm, tmp_path) as endpoint:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        pools = AksPools("s", "group", "vaults", clock.monotonic, clock.pause, endpoint=endpoint, credential=Credential())
        yield arm, pools
        pools.close()


def test_a_count_is_raised_once_though_it_looks_ten_times(
    azure: tuple[FakeArm, AksPools], capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(*azure, BOUNDS)
    world.look(10)
    assert world.count == 3
    assert len(world.arm.puts()) == 1
    assert world.arm.pools["sgx1"]["vmSize"] == SIZE
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines[:2]] == [
        "2026-11-30T10:00:00Z grow sgx1 1 → 3",
        "2026-11-30T10:00:00Z sgx1",
    ]
    assert "room on 2 nodes that come, waited for until 10:10:00Z" in lines[2]
    assert len(lines) == 3


def test_while_azure_is_at_it_nothing_is_asked(azure: tuple[FakeArm, AksPools]) -> None:
    world = World(*azure, BOUNDS)
    world.look(1, done=False)
    world.pods += [made(pod(f"q{index}", 100)) for index in range(2)]
    world.look(5, done=False)
    assert world.count == 3
    assert len(world.arm.puts()) == 1
    world.look(3)
    assert world.count == 5
    assert len(world.arm.puts()) == 2


def test_two_controllers_raise_it_once(azure: tuple[FakeArm, AksPools]) -> None:
    """Both look before either acts: the version that the second saw is not the pool's any more."""
    world = World(*azure, BOUNDS)
    second = world.another(azure[1], BOUNDS)
    original, asked = world.arm.answer, list[str]()

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT" and not asked:
            asked.append(path)
            second.look(world.moment)
        return original(method, path, headers, body)

    world.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    world.look()
    assert world.count == 3
    world.look(10)
    second.look(world.moment)
    assert world.count == 3


@pytest.mark.parametrize(("status", "until"), [(409, "10:01:00Z"), (412, "10:01:00Z"), (403, "10:10:00Z")])
def test_a_refusal_in_between_is_no_second_step(
    azure: tuple[FakeArm, AksPools], capsys: pytest.CaptureFixture[str], status: int, until: str
) -> None:
    world = World(*azure, BOUNDS)
    original = world.arm.answer
    refusals = [status]

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT" and refusals:
            return error(
                refusals.pop(), "Conflict", "another operation is in progress", {"Retry-After": "0"} if status == 503 else {}
            )
        return original(method, path, headers, body)

    world.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    world.look(2)
    assert world.count == 1
    refusals.clear()
    told = capsys.readouterr().out
    assert "sgx1: not done: pool sgx1" in told
    assert "its cloud refused the last step" in told
    assert f"not tried again until {until}" in told
    world.look(25)
    assert world.count == 3


def test_an_answer_that_is_lost_is_no_second_step(azure: tuple[FakeArm, AksPools]) -> None:
    """Azure took it, and the watch was told that it did not."""
    world = World(*azure, BOUNDS)
    original, lost = world.arm.answer, list[str]()

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        whole = original(method, path, headers, body)
        if method == "PUT" and not lost:
            lost.append(path)
            return error(400, "BadRequest", "something broke")
        return whole

    world.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    world.look(30)
    assert lost
    assert world.count == 3


def test_a_watch_that_begins_anew_asks_for_nothing_twice(azure: tuple[FakeArm, AksPools]) -> None:
    world = World(*azure, BOUNDS)
    world.look()
    for _ in range(5):
        world.watch = world.another(azure[1], BOUNDS)
        world.look()
    assert world.count == 3
    assert len(world.arm.puts()) == 1


@pytest.mark.parametrize(
    ("there", "scale", "words"),
    [
        ({"enableAutoScaling": True}, BOUNDS, "AKS' own autoscaler says how many nodes it has"),
        ({}, PoolScale(least=1, most=9), "the plan does not say scale: {by: donjon} of it"),
        ({"provisioningState": "Upgrading"}, BOUNDS, "Azure is still at its last change (Upgrading)"),
        ({"eTag": ""}, BOUNDS, "Azure says no version of it"),
    ],
)
def test_a_pool_that_somebody_else_scales_is_left_alone(
    azure: tuple[FakeArm, AksPools], capsys: pytest.CaptureFixture[str], there: dict[str, Any], scale: PoolScale, words: str
) -> None:
    world = World(*azure, scale)
    world.arm.pools["sgx1"] |= there
    world.look(10, done=False)
    assert world.arm.puts() == []
    assert words in capsys.readouterr().out


def test_without_apply_nothing_is_written(azure: tuple[FakeArm, AksPools], capsys: pytest.CaptureFixture[str]) -> None:
    world = World(*azure, BOUNDS, acts=False)
    world.look(60)
    assert {method for method, *_ in world.arm.requests} == {"GET"}
    assert capsys.readouterr().out.count("grow sgx1 1 → 3") == 1


def test_a_pool_is_made_smaller_once_and_never_below_its_bounds(azure: tuple[FakeArm, AksPools]) -> None:
    world = World(*azure, BOUNDS)
    world.arm.pools["sgx1"]["count"] = 2
    world.nodes.append(here("n2"))
    world.pods = world.pods[:1]
    world.look(21)
    assert world.count == 1
    assert len(world.arm.puts()) == 1
    world.nodes.pop()
    world.look(60)
    assert world.count == 1


def test_what_is_away_for_a_while_is_said_once(azure: tuple[FakeArm, AksPools], capsys: pytest.CaptureFixture[str]) -> None:
    world = World(*azure, BOUNDS)
    world.away = True
    world.look(5)
    world.away = False
    world.look()
    lines = capsys.readouterr().out.splitlines()
    assert [line[21:40] for line in lines[:3]] == ["not looked: list no", "reached again", "grow sgx1 1 → 3: 2 "]
    world.arm.queue = [lambda: error(403, "AuthorizationFailed", "you may not")] * 3
    world.look(3)
    assert capsys.readouterr().out.count("not looked: pool sgx1: Azure says 403") == 1
    world.arm.queue = [lambda: ok({"name": "another", "properties": {}})] * 2
    world.look(3)
    assert [line[21:50] for line in capsys.readouterr().out.splitlines()[:2]] == [
        "not looked: pool sgx1: Azure'",
        "reached again",
    ]


def test_each_line_for_programs_is_a_document(azure: tuple[FakeArm, AksPools], capsys: pytest.CaptureFixture[str]) -> None:
    world = World(*azure, BOUNDS, as_json=True)
    world.look(3)
    first, second, *_ = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["step"], first["pool"], first["before"], first["after"]) == ("grow", "sgx1", 1, 3)
    assert first["pods"] == ["default/p0", "default/p1"]
    assert second == {"time": "2026-11-30T10:00:00Z", "step": "note", "reason": "sgx1: 3 nodes asked for"}


def test_somebody_ends_it_and_it_ends_quietly(azure: tuple[FakeArm, AksPools]) -> None:
    world, pauses = World(*azure, BOUNDS), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    watch(world.watch, lambda: world.moment, pause, 30)
    assert pauses == [30, 30, 30]


PLAN = """\
cluster: {cloud: azure, name: vaults, resource_group: group, region: westeurope, quota: 100}
pools:
  - {name: sgx1, size: Standard_DC4s_v3, count: 1, scale: {min: 1, max: 3}}
"""
METAL_POOL = "pools: [{name: a, size: b, count: 1, labels: {a: b}, scale: {min: 1, max: 3, by: donjon}}]"


def called(*arguments: str, text: str = PLAN) -> Result:
    return CliRunner().invoke(plan, ["--watch", "-", *arguments], input=text, env={"AZURE_SUBSCRIPTION_ID": ""})


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        (("vault.yaml",), PLAN, "goes with no manifests"),
        (("--apply",), PLAN, "DJ853"),
        (("--apply",), PLAN.replace("max: 3", "max: 3, by: donjon"), "DJ848"),
        ((), PLAN.replace(", scale: {min: 1, max: 3}", ""), "DJ851"),
        ((), PLAN.replace("Standard_DC4s_v3", "Standard_D4ds_v5"), "DJ851"),
        ((), "cluster: {cloud: metal, name: v}\npools: [{name: a, size: b, count: 1, scale: {min: 1, max: 3}}]", "DJ852"),
        (("--apply",), "cluster: {cloud: metal, name: v}\n" + METAL_POOL, "DJ853"),
        (("--every", "0s"), PLAN, "one second or more"),
        ((), PLAN.replace("max: 3", "max: 3, by: somebody"), "one of autoscaler, donjon"),
    ],
)
def test_what_cannot_be_watched_is_refused(arguments: tuple[str, ...], text: str, words: str) -> None:
    result = called(*arguments, text=text)
    assert result.exit_code != 0
    assert words in f"{result.output}{result.exception}"
