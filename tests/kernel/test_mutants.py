"""The truth finds every meter that is wrong in one way."""

from pathlib import Path

import pytest
from tests.kernel import kernels, machine, mutants
from tests.kernel.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_meter_that_is_wrong_is_found(mutant: Mutant, tmp_path: Path) -> None:
    kernel = kernels.ensure(kernels.oldest())
    answer = machine.run(kernel, mutant.found_by, mutants.make(mutant, tmp_path), "stop")
    assert answer.has_ended, answer.text
    assert answer.failures, answer.text
