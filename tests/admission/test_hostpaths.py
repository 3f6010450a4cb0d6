"""Paths of the host, spelled in every way that leads to its SGX devices, and paths that only look like it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.admission.samples import DEVICE_SPELLINGS, HOLDER_SPELLINGS, OTHER_PATHS

from donjon.admission.hostpaths import (
    HOLDS_DEVICES,
    MAX_PATH,
    MAX_PATHS,
    NAMES_A_DEVICE,
    devices,
    holds_devices,
    names_a_device,
)


@pytest.mark.parametrize("path", DEVICE_SPELLINGS)
def test_a_device_is_one_however_it_is_spelled_and_whoever_mounts_it(path: str) -> None:
    assert devices([path], asks=False) == devices([path], asks=True) == (path,)


@pytest.mark.parametrize("path", HOLDER_SPELLINGS)
def test_what_holds_the_devices_matters_to_pods_that_ask_alone(path: str) -> None:
    assert devices([path], asks=True) == (path,)
    assert devices([path], asks=False) == ()


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_other_paths_are_nobodys_business(path: str) -> None:
    assert devices([path], asks=True) == ()


def test_a_path_that_no_kernel_takes_is_none() -> None:
    longest = "/" * (MAX_PATH - len("/dev/sgx")) + "dev/sgx"
    assert devices([longest, f"/{longest}"], asks=True) == (longest,)


@pytest.mark.parametrize(("path", "asks"), [("/opt/sgx/{}", False), ("/data/{}", True)])
def test_of_more_paths_than_are_looked_at_all_are_taken_for_devices(path: str, *, asks: bool) -> None:
    most = [path.format(number) for number in range(MAX_PATHS)]
    assert devices(most, asks=asks) == ()
    assert devices([*most, "/sgx"], asks=asks) == (*most, "/sgx")


PATHS = st.lists(st.sampled_from(["/", "/", "/", ".", "dev", "sgx", "isgx", "proc", "root", "cwd", "1", "\n"]), max_size=12)


@given(PATHS.map("".join))
def test_the_patterns_of_the_policies_say_the_same(path: str) -> None:
    assert bool(re.search(NAMES_A_DEVICE, path)) is names_a_device(path)
    assert bool(re.search(f"{HOLDS_DEVICES[:-1]}\\Z", path)) is holds_devices(path)
