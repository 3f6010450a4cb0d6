"""What `donjon doctor` says of the meter before anything is loaded."""

import pytest

from donjon.node.metering import KernelOutlook, metering
from donjon.node.readings import Reading

IN_TREE = frozenset({"sgx_enclave", "sgx_vepc", "kvm"})


def outlook(
    misc: frozenset[str] = IN_TREE, *, types: bool | None = True, lockdown: str | None = "[none] integrity confidentiality"
) -> KernelOutlook:
    described = Reading[bool].unknown("btf: No such file", source="btf") if types is None else Reading.of(types, source="btf")
    mode = Reading[str].unknown("none", source="lockdown") if lockdown is None else Reading.of(lockdown, source="lockdown")
    return KernelOutlook(misc=Reading.of(misc, source="misc"), types=described, lockdown=mode)


@pytest.mark.parametrize(
    ("kernel", "value", "words", "source"),
    [
        (outlook(), "bpf", "own counters", "btf"),
        (outlook(lockdown=None), "bpf", "own counters", "btf"),
        (outlook(lockdown="none [integrity] confidentiality"), "bpf", "own counters", "btf"),
        (outlook(frozenset({"sgx_vepc"})), "bpf", "own counters", "btf"),
        (outlook(lockdown="none integrity [confidentiality]"), "maps", "lockdown", "lockdown"),
        (outlook(types=None), "maps", "CONFIG_DEBUG_INFO_BTF", "btf"),
        (outlook(types=False), "maps", "no enclaves", "btf"),
        (outlook(frozenset({"kvm"})), "maps", "no SGX driver of its own", "misc"),
    ],
)
def test_the_source_is_told_with_its_reason(kernel: KernelOutlook, value: str, words: str, source: str) -> None:
    line = metering(kernel, has_device=True)
    assert (line.value, line.source) == (value, source)
    assert words in line.text
    assert ("upper bound" in line.text) is (value == "maps")


def test_without_a_device_there_is_nothing_to_measure() -> None:
    assert metering(outlook(), has_device=False).value == "none"
