"""Hosts that are broken in one way each, from the tree of files to what is offered.

Clauses are those of "Bad input": an error with a code or a fact marked unknown with its reason, never a crash, never a made-up
number. The host is an Azure DC2ds_v3 with 8 GiB of EPC. Device nodes can only be made by root, so where they are not the thing
that is broken, they are given as values.
"""

import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.adapters.trees import written_without_devices
from tests.node.world import IN_TREE

from donjon.adapters.linux.host import read_host
from donjon.node.facts import NodeFacts, derive
from donjon.node.labels import labels
from donjon.node.offer import NOTHING, Offer, OfferSettings, renew
from donjon.node.readiness import Readiness, assess
from donjon.node.registration import NodeCondition, condition
from donjon.node.report import report
from donjon.simulation import host

GIB = 1 << 30
EPC = 8 * GIB
SYSFS = "sys/devices/system/node/node0/x86/sgx_total_bytes"
CPUID = "dev/cpu/0/cpuid"

Break = Callable[[Path], None]


@dataclass(frozen=True)
class Judged:
    """All that the agent makes of a host."""

    facts: NodeFacts
    readiness: Readiness
    offer: Offer
    condition: NodeCondition

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.readiness.findings}


def valid(folder: Path) -> Path:
    return written_without_devices(folder, host.host("dc2ds-v3"))


def judged(root: Path, *, own_devices: bool = False) -> Judged:
    """What is made of a tree, all the way; every step is taken, so that none of them may raise."""
    readings = read_host(root)
    facts = derive(readings if own_devices else replace(readings, devices=IN_TREE))
    readiness = assess(facts)
    assert report(facts)
    assert labels(facts)
    offer = renew(NOTHING, facts, readiness, OfferSettings())
    return Judged(facts=facts, readiness=readiness, offer=offer, condition=condition(readiness, ()))


def test_the_host_is_whole_before_it_is_broken(short: Path) -> None:
    """Nothing is changed. Accepted: ready, with all of its EPC."""
    seen = judged(valid(short))
    assert seen.readiness.ready
    assert seen.offer.epc == EPC


# sysfs.


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_loop_of_links(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("wrong", [a_folder, a_pipe, a_loop_of_links], ids=lambda wrong: wrong.__name__)
def test_sysfs_of_a_wrong_type(short: Path, wrong: Break) -> None:
    """node0/x86/sgx_total_bytes is no file. Accepted: its figure is unknown, the processor's stands. Unreadable sysfs."""
    root = valid(short)
    (root / SYSFS).unlink()
    wrong(root / SYSFS)
    seen = judged(root)
    assert seen.facts.numa_epc.value is None
    assert seen.offer.epc == EPC


@pytest.mark.parametrize("text", ["", "\n", "   "])
def test_sysfs_that_is_empty(short: Path, text: str) -> None:
    """sgx_total_bytes holds nothing. Accepted: unknown with DJ903, a warning DJ016, and not 0 bytes. Empty sysfs."""
    root = valid(short)
    (root / SYSFS).write_text(text)
    seen = judged(root)
    assert "[DJ903]" in seen.facts.numa_epc.problem
    assert "DJ016" in seen.codes
    assert seen.offer.epc == EPC


@pytest.mark.parametrize("text", [str(2**64), str(2**64 - 1), "-1", "-8589934592", "1e30", "0x200000000", "eight", "9" * 4000])
def test_sysfs_that_is_absurd(short: Path, text: str) -> None:
    """sgx_total_bytes holds what no memory can be. Accepted: unknown, the processor's figure stands. Absurd sysfs, 2^64."""
    root = valid(short)
    (root / SYSFS).write_text(f"{text}\n")
    seen = judged(root)
    assert seen.facts.numa_epc.value is None
    assert "DJ016" in seen.codes
    assert seen.offer.epc == EPC


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\x00" * 4096, bytes(range(256)) * 64, b"8589934592" + b"0" * (2 << 20)])
def test_sysfs_that_is_no_text(short: Path, data: bytes) -> None:
    """sgx_total_bytes holds bytes that are no number, or 2 MiB of digits. Accepted: unknown. Absurd sysfs, wrong types."""
    root = valid(short)
    (root / SYSFS).write_bytes(data)
    seen = judged(root)
    assert seen.facts.numa_epc.value is None
    assert seen.offer.epc == EPC


@pytest.mark.parametrize("node", [0, 1])
def test_sysfs_of_one_node_of_two_that_is_absurd(short: Path, node: int) -> None:
    """One of two NUMA nodes tells -1. Accepted: the sum is unknown, since half a sum would be a made-up number."""
    root = written_without_devices(short, replace(host.host("dc2ds-v3"), numa=2))
    (root / f"sys/devices/system/node/node{node}/x86/sgx_total_bytes").write_text("-1\n")
    seen = judged(root)
    assert seen.facts.numa_epc.value is None
    assert seen.offer.epc == EPC


def test_sysfs_that_tells_more_than_the_processor_has(short: Path) -> None:
    """sysfs tells a plausible 64 GiB, CPUID 8. Accepted: the lesser is offered, with a warning DJ007."""
    root = valid(short)
    (root / SYSFS).write_text(f"{64 * GIB}\n")
    seen = judged(root)
    assert "DJ007" in seen.codes
    assert seen.offer.epc == EPC


# CPUID.


def write_leaf(root: Path, leaf: int, subleaf: int, *registers: int) -> None:
    descriptor = os.open(root / CPUID, os.O_WRONLY)
    try:
        os.pwrite(descriptor, struct.pack("<4I", *registers), subleaf << 32 | leaf)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, 15, 4096])
def test_cpuid_that_is_empty(short: Path, size: int) -> None:
    """The stand-in holds only zeros. Accepted: unknown with DJ015 and not "no SGX", the kernel's figure stands. Empty CPUID."""
    root = valid(short)
    (root / CPUID).write_bytes(b"\0" * size)
    seen = judged(root)
    assert seen.facts.cpu.value is None
    assert "DJ015" in seen.codes
    assert "DJ001" not in seen.codes
    assert seen.offer.epc == EPC


def test_cpuid_whose_sections_overlap(short: Path) -> None:
    """The second section lies within the first. Accepted: CPUID is unknown with DJ902, the kernel's figure stands. Overlap."""
    root = valid(short)
    write_leaf(root, 0x12, 3, 0xC0001001, 4, 0x00100001, 0)
    seen = judged(root)
    assert "overlap [DJ902]" in seen.facts.cpu.problem
    assert "DJ015" in seen.codes
    assert seen.offer.epc == EPC


@pytest.mark.parametrize(
    "registers",
    [
        (0xFFFFF001, 0xFFFFF, 0xFFFFF001, 0xFFFFF),  # 2^52 bytes at the last page
        (0xFFFFFFF1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),  # every bit
        (0xC0000001, 4, 0x1, 0),  # no bytes
    ],
)
def test_cpuid_whose_section_cannot_be(short: Path, registers: tuple[int, int, int, int]) -> None:
    """The only section ends beyond every address, or is empty. Accepted: unknown with DJ902, never that sum. Absurd CPUID."""
    root = valid(short)
    write_leaf(root, 0x12, 2, *registers)
    seen = judged(root)
    assert "[DJ902]" in seen.facts.cpu.problem
    assert seen.offer.epc == EPC


@pytest.mark.parametrize("seed", range(20))
def test_cpuid_of_random_bytes(short: Path, seed: int) -> None:
    """Every leaf holds random registers. Accepted: whatever they say, no more is offered than the kernel has. Absurd CPUID."""
    root = valid(short)
    chance = random.Random(seed)  # noqa: S311 - the same bytes every time.
    for subleaf in range(10):
        write_leaf(root, 0x12, subleaf, *(chance.getrandbits(32) for _ in range(4)))
    seen = judged(root)
    assert 0 <= seen.offer.epc <= EPC


def test_neither_figure_can_be_believed(short: Path) -> None:
    """CPUID is empty and sysfs tells 2^64. Refused: not ready with DJ006, both reasons said, and 0 bytes offered."""
    root = valid(short)
    (root / CPUID).write_bytes(b"")
    (root / SYSFS).write_text(str(2**64))
    seen = judged(root)
    assert {"DJ006", "DJ015", "DJ016"} <= seen.codes
    assert "empty" in seen.facts.epc.problem
    assert "[DJ903]" in seen.facts.epc.problem
    assert seen.offer.epc == 0
    assert not seen.condition.status


# Devices.


def an_ordinary_file(path: Path) -> None:
    path.touch()


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


WRONG = [a_folder, an_ordinary_file, a_pipe, a_link_to_nowhere, a_link_to_a_device, a_loop_of_links]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
@pytest.mark.parametrize("path", ["dev/sgx_enclave", "dev/sgx/enclave", "dev/isgx"])
def test_a_device_path_that_is_no_device(short: Path, path: str, wrong: Break) -> None:
    """The enclave device's path holds something else. Refused: DJ004 and DJ005 with what stands there, no device, 0 bytes."""
    root = valid(short)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    wrong(root / path)
    seen = judged(root, own_devices=True)
    assert {"DJ004", "DJ005"} <= seen.codes
    assert f"/{path}" in {finding.subject for finding in seen.readiness.findings if finding.code == "DJ005"}
    assert seen.offer == NOTHING


# The rest of the host.


@pytest.mark.parametrize(
    "path",
    ["proc/cpuinfo", "proc/sys/kernel/osrelease", "proc/mounts", "etc/containerd/config.toml", "sys/module", "sys/devices"],
)
@pytest.mark.parametrize("data", [b"", b"\xff" * 1000, b"\0" * 1000, b"= [ ]]] \n" * 1000])
def test_any_other_file_that_is_nonsense(short: Path, path: str, data: bytes) -> None:
    """One file, or the folder in its place, is nonsense. Accepted: a fact is unknown or "no", and EPC is the processor's."""
    root = valid(short)
    place = root / path
    if place.is_dir():
        place.rename(short / "away")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    seen = judged(root)
    assert seen.offer.epc == EPC
    assert len(seen.condition.message) < 10_000


@pytest.mark.parametrize("folder", ["dev", "sys", "proc", "run", "etc"])
def test_a_folder_that_is_a_file(short: Path, folder: str) -> None:
    """A whole folder of the host is a file. Accepted: what would be below it is absent or unknown."""
    root = valid(short)
    (root / folder).rename(short / "away")
    (root / folder).touch()
    seen = judged(root)
    assert 0 <= seen.offer.epc <= EPC
