"""What the tests share: the package as it stands, with the meter's programs compiled; and the kernels, or a sentence why not."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed.trouble import Lacking
from tests.kernel import initramfs, kernels
from tests.kernel.kernels import SERIES, Kernel


@pytest.fixture(scope="session", autouse=True)
def _machine() -> None:
    try:
        kernels.able()
    except Lacking as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=SERIES)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    try:
        return kernels.ensure(kernels.newest(request.param))
    except Lacking as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def source() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="donjon-") as folder:
        source = initramfs.copy_project(Path(folder))
        initramfs.compile_meter(source)
        yield source
