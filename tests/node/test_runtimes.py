"""Configurations of container runtimes, and whether they hand devices over: yes, no, or what cannot be followed."""

import pytest
from tests.node.world import OWNERSHIP, containerd, crio, unknown

from donjon.node import runtimes
from donjon.node.readings import RuntimeConfiguration

OPTION = "device_ownership_from_security_context"
YES = f"{OPTION} = true\n"
NO = f"{OPTION} = false\n"
V1, V2, V3 = (
    "[plugins.cri]\n",
    'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n',
    "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n",
)
CRIO = "[crio.runtime]\n"

CLEAR: dict[str, tuple[RuntimeConfiguration, bool]] = {
    "an empty file": (containerd(""), False),
    "version 1": (containerd(V1 + YES), True),
    "version 2": (containerd(V2 + YES), True),
    "version 3": (containerd(OWNERSHIP), True),
    "version 4": (containerd(OWNERSHIP.replace("version = 3", "version = 4")), True),
    "off": (containerd(V3 + NO), False),
    "a comment": (containerd(f"{V3}# {YES}"), False),
    "a text of several lines": (containerd(f"{V3}note = '''\n{YES}'''"), False),
    "the section of another version": (containerd("version = 3\n" + V2.partition("\n")[2] + YES), False),
    "version 1's section in version 2": (containerd("version = 2\n" + V1 + YES), False),
    "another section": (containerd("version = 3\n[plugins.other]\n" + YES), False),
    "at the top": (containerd("version = 3\n" + YES), False),
    "a dotted key": (containerd(f"version = 2\nplugins.'io.containerd.grpc.v1.cri'.{YES}"), True),
    "an inline table": (containerd("version = 2\nplugins = {'io.containerd.grpc.v1.cri' = {" + YES.strip() + "}}"), True),
    "quoted in another way": (
        containerd(f"version = 3\n['plugins']\n['plugins'.\"io.containerd.cri.v1.runtime\"]\n\"{OPTION}\"=true"),
        True,
    ),
    "a table below it": (containerd(f"{V2}sandbox = 'x'\n[plugins.'io.containerd.grpc.v1.cri'.cni]\n{YES}"), False),
    "an imported file says yes": (containerd(V3 + NO, V3 + YES), True),
    "an imported file says no": (containerd(V3 + YES, V3 + NO), False),
    "the last of the imported": (containerd("version = 3\n", V3 + NO, V3 + YES), True),
    "an imported file of another version": (containerd("version = 3\n", V2 + YES), True),
    "an imported file about something else": (containerd(V3 + YES, "version = 3\n[debug]\nlevel = 'info'\n"), True),
    "a drop-in that changes nothing": (containerd(V3 + YES, drop_ins=(V3 + YES,)), True),
    "CRI-O": (crio(CRIO + YES), True),
    "CRI-O, a dotted key": (crio(f"crio.runtime.{YES}"), True),
    "CRI-O, nothing": (crio(""), False),
    "CRI-O, a later file": (crio(CRIO + NO, CRIO + YES), True),
    "CRI-O, a later file about something else": (crio(CRIO + YES, "[crio.runtime]\npids_limit = 9\n"), True),
    "CRI-O, another section": (crio("[crio.image]\n" + YES), False),
}

UNCLEAR: dict[str, tuple[tuple[RuntimeConfiguration, ...], str]] = {
    "none": ((), "no configuration of a container runtime"),
    "not read": ((containerd(unknown("/etc/containerd/config.toml: Permission denied")),), "Permission denied"),
    "an imported file not read": ((containerd(OWNERSHIP, unknown("1.toml: No such file or directory")),), "No such file"),
    "no TOML": ((containerd("version = "),), "no TOML"),
    "a template": ((containerd('{{ template "base" . }}\n' + YES),), "a template"),
    "a key twice": ((containerd(V3 + YES + YES),), "no TOML"),
    "no truth value": ((containerd(f"{V3}{OPTION} = 'true'\n"),), "neither true nor false"),
    "a number": ((containerd(f"{V3}{OPTION} = 1\n"),), "neither true nor false"),
    "a version to come": ((containerd("version = 5\n"),), "a version that is not known here"),
    "version 2's section without a version": (
        (containerd(V2.partition("\n")[2] + YES),),
        "which versions of containerd differ in",
    ),
    "version 3's section in version 2": (
        (containerd("version = 2\n" + V3.partition("\n")[2] + NO),),
        "which versions of containerd differ in",
    ),
    "an import without a version": ((containerd(V3, V3.partition("\n")[2] + YES),), "which versions of containerd differ in"),
    "a version that is no number": ((containerd("version = 'x'\n"),), "a version that is not known here"),
    "plugins that are no table": ((containerd("plugins = 1\n"),), "plugins is no table"),
    "nested without end": ((containerd("x = " + "[" * 100_000),), "no TOML"),
    "a section replaced or merged": ((containerd(OWNERSHIP, V3 + "enable_selinux = true\n"),), "versions of containerd differ"),
    "a drop-in that nobody imports": ((containerd("version = 3\n", drop_ins=(V3 + YES,)),), "no file imports it"),
    "two that differ": ((containerd(OWNERSHIP), crio(CRIO + NO)), "which of them the kubelet uses is not known"),
    "Docker's": ((containerd('disabled_plugins = ["cri"]\n' + V1 + YES),), "no configuration of a container runtime"),
    "the plugin is off": ((containerd(f"disabled_plugins = ['io.containerd.grpc.v1.cri']\n{OWNERSHIP}"),), "no configuration"),
    "CRI-O, no table": ((crio("crio = 1\n"),), "crio is no table"),
}


@pytest.mark.parametrize("name", CLEAR)
def test_a_configuration_that_can_be_followed_says_yes_or_no(name: str) -> None:
    configuration, answer = CLEAR[name]
    assert runtimes.device_ownership((configuration,)).value is answer


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_cannot_be_followed_is_unknown_and_says_why(name: str) -> None:
    configurations, why = UNCLEAR[name]
    reading = runtimes.device_ownership(configurations)
    assert (reading.value, why in reading.problem) == (None, True), reading.problem


def test_two_runtimes_that_agree_are_one_answer() -> None:
    assert runtimes.device_ownership((containerd(OWNERSHIP), crio(CRIO + YES))).value is True


def test_a_containerd_that_serves_no_kubelet_does_not_count_beside_one_that_does() -> None:
    assert runtimes.device_ownership((containerd("disabled_plugins = ['cri']\n"), crio(CRIO + YES))).value is True


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("imports = ['/etc/a.toml', 'b/*.toml']\n", ("/etc/a.toml", "b/*.toml")),
        ("imports = '/etc/a.toml'\n", ()),
        ("imports = [1, 'x']\n", ("x",)),
        ("", ()),
        ("= nonsense", ()),
    ],
)
def test_the_imports_of_a_file(text: str, paths: tuple[str, ...]) -> None:
    assert runtimes.imports(text) == paths
