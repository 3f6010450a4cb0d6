"""Pod and container of a process, by the paths that kubelets and runtimes make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.node.cgroups import CgroupPlace, place

UID = "0c5a7c4e-9d6e-4a57-8f5e-2f3a1b2c3d4e"
LOW = UID.replace("-", "_")
HASH = "8a56f3ce19b0f8a5e2f7a3c1d0e9b8a7"
ID, OTHER = "ab" * 32, "cd" * 32
ELSE = "11111111-2222-3333-4444-555555555555"

IN_CONTAINER = CgroupPlace(pod_uid=UID, container_id=ID)
IN_POD = CgroupPlace(pod_uid=UID)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/kubepods/burstable/pod{UID}/{ID}", IN_CONTAINER),
        (f"/kubepods/besteffort/pod{UID}/{ID}", IN_CONTAINER),
        (f"/kubepods/pod{UID}/{ID}", IN_CONTAINER),
        (f"/kubelet/kubepods/pod{UID}/{ID}", IN_CONTAINER),
        (f"/kubepods/pod{HASH}/{ID}", CgroupPlace(pod_uid=HASH, container_id=ID)),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{LOW}.slice/cri-containerd-{ID}.scope", IN_CONTAINER),
        (f"/kubepods.slice/kubepods-pod{LOW}.slice/cri-containerd-{ID}.scope", IN_CONTAINER),
        (f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{LOW}.slice/crio-{ID}.scope", IN_CONTAINER),
        (f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{LOW}.slice/crio-{ID}", IN_CONTAINER),
        (f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{LOW}.slice/crio-{ID}.scope/container", IN_CONTAINER),
        (f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{LOW}.slice/docker-{ID}.scope", IN_CONTAINER),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{LOW}.slice/crio-conmon-{ID}.scope", IN_POD),
        (f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{LOW}.slice/cri-containerd-{ID}.scope", IN_CONTAINER),
        (f"/system.slice/containerd.service/kubepods-besteffort-pod{LOW}.slice:cri-containerd:{ID}", IN_CONTAINER),
        (f"/kubepods/besteffort/pod{UID}/kata_{ID}", IN_POD),
        (f"/kubepods/besteffort/pod{UID}", IN_POD),
        (f"/../../pod{UID}/{ID}", IN_CONTAINER),
        (f"/../../kubepods-burstable-pod{LOW}.slice/cri-containerd-{ID}.scope", IN_CONTAINER),
        (f"/docker/{OTHER}/kubepods/burstable/pod{UID}/{ID}", IN_CONTAINER),
        ("/", None),
        ("", None),
        ("/system.slice/aesmd.service", None),
        (f"/system.slice/docker-{ID}.scope", None),
        ("/kubepods/burstable", None),
        (f"/user.slice/pod{UID}/{ID}", None),
        (f"/kubepods/burstable/pod{UID}x/{ID}", None),
        (f"/kubepods/burstable/pod{UID[:-1]}/{ID}", None),
    ],
)
@pytest.mark.parametrize("line", ["0::{}", "7:memory:{}", "4:cpu,memory,pids:{}", "1:name=systemd:{}"])
def test_a_path_says_whose_the_process_is(path: str, expected: CgroupPlace | None, line: str) -> None:
    assert place(line.format(path) + "\n") == expected


@pytest.mark.parametrize(
    "below",
    [
        f"kubepods/burstable/pod{ELSE}/{OTHER}",
        f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{ELSE}.slice/cri-containerd-{OTHER}.scope",
        OTHER,
    ],
)
def test_a_container_that_makes_folders_with_others_names_stays_itself(below: str) -> None:
    assert place(f"0::/kubepods/burstable/pod{UID}/{ID}/{below}\n") == IN_CONTAINER


@pytest.mark.parametrize("end", ["\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_folder_whose_name_looks_like_a_line_of_its_own_changes_nothing(end: str) -> None:
    assert place(f"0::/kubepods/pod{UID}/{ID}/x{end}0::/kubepods/burstable/pod{ELSE}/{OTHER}\n") == IN_CONTAINER


def test_in_hybrid_mode_the_hierarchy_that_knows_the_pod_counts() -> None:
    lines = (
        f"12:pids:/kubepods/pod{UID}/{ID}",
        "3:cpuset:/",
        "1:name=systemd:/system.slice/x.service",
        "0::/system.slice/x.service",
    )
    assert place("\n".join(lines)) == IN_CONTAINER


def test_the_unified_hierarchy_goes_before_the_others() -> None:
    text = f"5:pids:/kubepods/pod{ELSE}/{OTHER}\n4:memory:/kubepods/pod{ELSE}/{OTHER}\n0::/kubepods/pod{UID}/{ID}\n"
    assert place(text) == IN_CONTAINER


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "0:", "0::", ":::::", "0::/" + "a/" * 20_000, "\0\0\n0::\0"])
def test_what_is_no_account_of_cgroups_is_nobodys(text: str) -> None:
    assert place(text) is None


FOLDERS = st.sampled_from(
    ["kubepods", "burstable", "..", f"pod{UID}", f"pod{ELSE}", ID, f"crio-{OTHER}.scope", f"kubepods-pod{LOW}.slice", "x", ""]
)


@given(st.lists(FOLDERS, max_size=8), st.lists(FOLDERS, max_size=8))
def test_what_lies_below_a_containers_folder_changes_nothing(above: list[str], below: list[str]) -> None:
    own = "/".join([*above, "kubepods", f"pod{UID}", ID])
    assert place(f"0::/{own}/{'/'.join(below)}") == place(f"0::/{own}")


@given(st.text(max_size=500))
def test_no_text_is_an_error(text: str) -> None:
    place(text)
    place(f"0::/kubepods/{text}")
