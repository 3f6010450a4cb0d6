"""The product's meter beside the truth, on Debian's own kernels."""

from pathlib import Path

import pytest
from tests.kernel import machine
from tests.kernel.kernels import Kernel
from tests.kernel.modules import Truth

LEAST = 150


@pytest.mark.parametrize("truth", Truth)
def test_the_meter_equals_the_truth(kernel: Kernel, truth: Truth, source: Path) -> None:
    answer = machine.run(kernel, truth, source)
    assert not answer.failures, "\n".join(answer.failures)
    assert answer.good >= LEAST, answer.text
