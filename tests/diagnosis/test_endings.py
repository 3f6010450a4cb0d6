"""Programs that end: told with exit code, time and restarts, in whatever form the kubelet leaves them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.diagnosis.worlds import NOW, around, event, node, pod, with_spec
from tests.labour import least_labour

from donjon.diagnosis.explanation import Explanation
from donjon.diagnosis.pod import explain
from donjon.formats.json import Json, JsonObject


def ago(seconds: float) -> str:
    """As the kubelet writes a moment."""
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def over(code: int, reason: str = "Error", seconds: float = 33) -> JsonObject:
    return {"terminated": {"exitCode": code, "reason": reason, "finishedAt": ago(seconds)}}


NEW: JsonObject = {"running": {"startedAt": ago(2)}}
LOOP: JsonObject = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container=app"}}


def told(state: JsonObject, last: JsonObject | None = None, restarts: int = 0, spec: JsonObject | None = None) -> Explanation:
    """Of a pod on a node that is well."""
    status: Json = {"name": "app", "state": state, "lastState": last or {}, "restartCount": restarts}
    running = pod("16Mi", phase="Running", on="a", status={"containerStatuses": [status]})
    return explain(with_spec(running, spec or {}), around(node("a")))


@pytest.mark.parametrize(
    ("state", "last", "words"),
    [
        (over(3), None, "app ended with exit code 3 33 s ago, restarted 4 times"),
        (LOOP, over(3), "app ended with exit code 3 33 s ago, restarted 4 times"),
        (
            {"running": {"startedAt": ago(2)}},
            over(3, seconds=300),
            "app ended with exit code 3 5 min ago, restarted 4 times, and runs again",
        ),
        (LOOP, over(137, "OOMKilled"), "app ended with exit code 137 (OOMKilled) 33 s ago, restarted 4 times"),
        (LOOP, over(0, "Completed"), "app ended with exit code 0 33 s ago, restarted 4 times"),
        (over(0, "Completed"), None, "app ended with exit code 0 33 s ago, restarted 4 times"),
        (over(1, seconds=3 * 86400), None, "app ended with exit code 1 3 d ago, restarted 4 times"),
    ],
    ids=[
        "just ended (1.36)",
        "back-off",
        "runs again",
        "out of memory",
        "loop without an error",
        "ended without an error",
        "long ago",
    ],
)
def test_a_program_that_ends_is_told_whatever_form_the_kubelet_leaves_it_in(
    state: JsonObject, last: JsonObject | None, words: str
) -> None:
    explanation = told(state, last, 4)
    assert [each.code for each in explanation.findings] == ["DJ138"]
    assert (explanation.well, explanation.findings[0].observation) == (False, words)
    assert words in explanation.verdict
    assert explanation.next_step.startswith("kubectl logs -n shop app -c app")


@pytest.mark.parametrize(
    ("state", "last", "spec"),
    [
        ({"running": {"startedAt": ago(601)}}, over(3, seconds=700), {}),
        (NEW, None, {}),
        (over(0, "Completed"), None, {"restartPolicy": "Never"}),
        (over(0, "Completed"), None, {"restartPolicy": "OnFailure"}),
    ],
    ids=["ran for ten minutes since", "never ended", "one of several that ended well", "the same of a Job"],
)
def test_what_ended_well_or_long_before_is_no_trouble(state: JsonObject, last: JsonObject | None, spec: JsonObject) -> None:
    assert told(state, last, 1, spec).well


def test_an_init_container_that_ended_well_is_no_trouble_and_one_with_an_error_is() -> None:
    init: Json = [{"name": "first", "state": over(0, "Completed")}]
    running: Json = [{"name": "app", "state": {"running": {"startedAt": ago(2)}}}]
    well = pod("16Mi", phase="Running", on="a", status={"initContainerStatuses": init, "containerStatuses": running})
    assert explain(well, around(node("a"))).well
    bad: Json = [{"name": "first", "state": LOOP, "lastState": over(2), "restartCount": 1}]
    pending = pod("16Mi", on="a", status={"initContainerStatuses": bad})
    assert "first ended with exit code 2 33 s ago, restarted 1 time" in explain(pending, around(node("a"))).verdict


@pytest.mark.parametrize("text", ["yesterday", "2026-11-23T11:59:27", "", 7, None, "2027-01-01T00:00:00Z"])
def test_a_moment_that_is_none_is_left_out(text: Json) -> None:
    state: JsonObject = {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": text}}
    assert told(state, None, 1).findings[0].observation == "app ended with exit code 3, restarted 1 time"


@pytest.mark.parametrize(
    ("state", "why", "do"),
    [
        (over(137, "OOMKilled"), "more memory than its limit", "raise limits.memory"),
        (over(137), "SIGKILL", "donjon explain DJ138"),
        (over(139), "SIGSEGV", "donjon explain DJ138"),
        (over(127), "not in the image", "donjon explain DJ138"),
        (over(0, "Completed"), "is to run on", "its command should not return"),
        (over(3), "its program says why in its log", "donjon explain DJ138"),
    ],
)
def test_what_an_exit_code_means_is_said(state: JsonObject, why: str, do: str) -> None:
    (finding,) = told(state, None, 1).findings
    assert why in finding.why
    assert do in finding.do


def test_a_pod_that_asks_for_nothing_is_told_with_its_end_too() -> None:
    status: Json = [{"name": "app", "state": over(3), "restartCount": 2}]
    explanation = explain(pod(phase="Running", on="a", status={"containerStatuses": status}), around(node("a")))
    assert not explanation.well
    assert "app ended with exit code 3 33 s ago, restarted 2 times" in explanation.verdict
    assert explanation.next_step == "kubectl logs -n shop app -c app"


FRAME = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
NO_SUCH_COMMAND = 'exec: "/app/enclav": stat /app/enclav: no such file or directory'
OF_RUNC = f"{FRAME}unable to start container process: error during container init: {NO_SUCH_COMMAND}"


@pytest.mark.parametrize("message", [NO_SUCH_COMMAND, OF_RUNC])
@pytest.mark.parametrize(
    ("code", "reason"), [(128, "StartError"), (127, "ContainerCannotRun"), (128, "Error")], ids=["containerd", "docker", "CRI-O"]
)
@pytest.mark.parametrize("phase", ["Failed", "Pending", "Running"])
def test_a_program_that_never_ran_is_told_by_the_runtimes_words_and_by_those_alone(
    phase: str, code: int, reason: str, message: str
) -> None:
    end: JsonObject = {"exitCode": code, "reason": reason, "message": message, "finishedAt": ago(9)}
    statuses: Json = [{"name": "app", "state": {"terminated": end}}]
    there = pod("64", phase=phase, on="a", status={"containerStatuses": statuses}, securityContext={"runAsUser": 1000})
    explanation = explain(there, around(node("a")))
    (finding,) = explanation.findings
    assert finding.observation == f"app could not be started 9 s ago: {NO_SUCH_COMMAND}"
    assert explanation.verdict.endswith(finding.observation)
    assert "but not as it should" not in explanation.verdict
    assert explanation.next_step.startswith("mend the container's command or its image, as the message says; ")
    assert "kubectl logs" not in explanation.next_step
    assert "EPC" not in explanation.next_step


@pytest.mark.parametrize(
    "state",
    [{"waiting": {"reason": "RunContainerError", "message": OF_RUNC}}, LOOP],
    ids=["between two starts", "back-off"],
)
def test_a_program_that_never_ran_and_is_tried_again_is_told_once(state: JsonObject) -> None:
    last: JsonObject = {"terminated": {"exitCode": 128, "reason": "StartError", "message": OF_RUNC}}
    explanation = told(state, last, 2, {"restartPolicy": "Always"})
    (finding,) = explanation.findings
    assert NO_SUCH_COMMAND in finding.observation
    assert FRAME not in finding.observation
    assert "mend the container's command" in finding.do
    assert explanation.verdict.startswith("was given to a: app ")


def test_a_program_that_ends_with_128_itself_has_a_log() -> None:
    assert told(over(128)).next_step.startswith("kubectl logs -n shop app -c app")


@pytest.mark.parametrize(
    ("reason", "message", "step"),
    [
        ("ErrImagePull", 'failed to resolve reference "r.example/app:1": not found', "correct the image's name"),
        ("ImagePullBackOff", 'Back-off pulling image "r.example/app:1"', "correct the image's name"),
        ("ErrImagePull", "401 Unauthorized", "give the pod imagePullSecrets"),
        ("CreateContainerConfigError", 'secret "keys" not found', "make the secret keys in namespace shop"),
        (
            "CreateContainerConfigError",
            "couldn't find key pin in Secret shop/keys",
            "write the key pin into the secret shop/keys",
        ),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", "securityContext.runAsUser"),
        ("CreateContainerError", "no command specified", "mend the container's command or its image"),
        ("CreateContainerError", "another", "mend what the message names; kubectl describe pod -n shop app"),
    ],
)
def test_what_keeps_a_container_from_its_start_has_a_step_of_its_own(reason: str, message: str, step: str) -> None:
    explanation = told({"waiting": {"reason": reason, "message": message}})
    assert len(explanation.findings) == 1
    assert step in explanation.next_step


UNHEALTHY = "Liveness probe failed: HTTP probe failed with statuscode: 500"


@pytest.mark.parametrize("code", [137, 143])
@pytest.mark.parametrize("state", ["over", "loop", "again"])
def test_a_program_that_its_probe_had_killed_is_told_by_that_probe_first(code: int, state: str) -> None:
    status: JsonObject = {"name": "app", "restartCount": 2}
    if state == "over":
        status |= {"state": over(code)}
    else:
        status |= {"state": LOOP if state == "loop" else NEW, "lastState": over(code)}
    running = pod("16Mi", phase="Running", on="a", status={"containerStatuses": [status]})
    said = event("Unhealthy", running, UNHEALTHY, ago(60))
    explanation = explain(running, around(node("a"), events=(said,)))
    first = explanation.findings[0]
    assert first.observation.startswith(f"app was killed for its livenessProbe: {UNHEALTHY}; ended with exit code {code}")
    assert first.do.startswith("correct the livenessProbe, or give the program more time")
    assert not any("compare its enclave's size" in each.do for each in explanation.findings)
    assert sum(UNHEALTHY in each.observation for each in explanation.findings) == 1


@pytest.mark.parametrize(
    ("end", "message", "seconds"),
    [
        (over(137, "OOMKilled"), UNHEALTHY, 60),
        (over(3), UNHEALTHY, 60),
        (over(137), "Readiness probe failed: no", 60),
        (over(137), UNHEALTHY, 1800),
    ],
    ids=["out of memory", "its own end", "another probe", "long before"],
)
def test_a_program_that_ended_otherwise_is_not_said_to_be_killed_for_a_probe(
    end: JsonObject, message: str, seconds: float
) -> None:
    running = pod("16Mi", phase="Running", on="a", status={"containerStatuses": [{"name": "app", "state": end}]})
    explanation = explain(running, around(node("a"), events=(event("Unhealthy", running, message, ago(seconds)),)))
    assert not any("was killed for" in each.observation for each in explanation.findings)


def test_words_of_a_runtime_that_go_on_and_on_cost_as_much_as_they_are_long() -> None:
    def read(times: int) -> Callable[[], Explanation]:
        end: JsonObject = {"exitCode": 128, "reason": "StartError", "message": "failed to create " * times}
        return lambda: told({"terminated": end})

    short = least_labour(read(1_000), 0)
    assert least_labour(read(8_000), 24 * short) < 24 * short
