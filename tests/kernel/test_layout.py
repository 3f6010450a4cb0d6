"""The structures that the meter reads, in every kernel that Debian serves here: the newest of each series and flavour."""

import pytest
from testbed.trouble import Lacking
from tests.kernel import kernels
from tests.kernel.btf import Absent, Types
from tests.kernel.kernels import Kernel

READ = (
    ("sgx_encl", ("base",)),
    ("sgx_encl", ("size",)),
    ("sgx_encl", ("flags",)),
    ("sgx_encl", ("page_cnt",)),
    ("sgx_encl", ("secs_child_cnt",)),
    ("sgx_encl", ("secs", "epc_page")),
    ("sgx_encl", ("va_pages", "next")),
    ("sgx_vepc", ("page_array", "xa_head")),
    ("xa_node", ("shift",)),
    ("xa_node", ("count",)),
    ("xa_node", ("slots",)),
    ("bpf_iter__task_vma", ("vma",)),
    ("bpf_iter__task_file", ("file",)),
)
"""What `meter.bpf.c` reads of the driver, and the iterators that it is."""


def test_the_newest_kernel_is_so_by_its_numbers_and_a_metapackage_is_none() -> None:
    names = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-57-cloud-amd64", "linux-image-6.1.0-57-cloud-amd64-dbg",
             "linux-image-6.12-cloud-amd64", "linux-image-6.12.9+deb13-amd64", "linux-image-6.12.107+deb13-amd64",
             "linux-image-6.12.107+deb13-amd64-unsigned", "linux-image-cloud-amd64"]  # fmt: skip
    found = [(name.series, name.flavour, name.image) for name in kernels.newest_of(names)]
    assert found == [
        ("6.1", "cloud-amd64", "linux-image-6.1.0-57-cloud-amd64"),
        ("6.12", "amd64", "linux-image-6.12.107+deb13-amd64"),
    ]


def test_every_kernel_that_is_served_has_what_the_meter_reads() -> None:
    try:
        served = kernels.served()
    except Lacking as error:
        pytest.skip(str(error))
    lacking = [sentence for name in served for sentence in _lacking(name)]
    assert not lacking, "\n".join(lacking)
    assert {name.series for name in served} & set(kernels.SERIES), served


def test_a_kernel_without_a_field_gets_a_sentence(kernel: Kernel) -> None:
    types = Types.read(kernel.types)
    types.structures["sgx_encl"]["members"] = [
        member for member in types.structures["sgx_encl"]["members"] if member["name"] != "va_pages"
    ]
    assert _sentences(kernel.name, types) == [
        f"{kernel.name.release}: struct sgx_encl has no va_pages.next; the meter refuses it with DJ705"
    ]


def _lacking(name: kernels.KernelName) -> list[str]:
    return _sentences(name, Types.read(kernels.types_of(name)))


def _sentences(name: kernels.KernelName, types: Types) -> list[str]:
    found = []
    for structure, path in READ:
        try:
            types.offset(structure, *path)
        except Absent as error:
            found.append(f"{name.release}: {error}; the meter refuses it with DJ705")
    return found
