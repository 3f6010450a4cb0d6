"""A document is what was asked for, or it is none: the number that its signer states against the one in the request."""

from collections.abc import Callable

import pytest
from tests.simulation.intel import world

from donjon.collateral import document, plan
from donjon.collateral.bundle import files
from donjon.collateral.plan import Answer, CollateralRequest
from donjon.errors import Untrusted
from donjon.pki.intel import anchor
from donjon.sgx.platform import Tee

MADE = world()
OF, PARTS = MADE.collateral, files(MADE.collateral)
NUMBER = 20  # of a world's documents


def proved(request: CollateralRequest, body: bytes, chain: bytes) -> int:
    answers = {
        plan.root_ca_crl().name(): Answer(body=OF.root_ca_crl, chain=OF.pck_crl_issuer_chain),
        request.name(): Answer(body=body, chain=chain),
    }
    return document.prove_all(answers, anchor(MADE.root))[request.name()].evaluation_number


def tcb_info(number: int) -> int:
    request = plan.tcb_info(Tee.SGX, MADE.setting.extension.fmspc, number)
    return proved(request, PARTS["tcb_info.json"], OF.tcb_info_issuer_chain)


def identity(number: int) -> int:
    return proved(plan.qe_identity(Tee.SGX, number), PARTS["qe_identity.json"], OF.qe_identity_issuer_chain)


@pytest.mark.parametrize("of", [tcb_info, identity])
def test_a_document_of_another_number_than_was_asked_for_is_not_taken(of: Callable[[int], int]) -> None:
    assert of(NUMBER) == NUMBER
    for number in (NUMBER - 1, NUMBER + 1):
        with pytest.raises(Untrusted, match=f"of evaluation number 20, asked for {number}") as refused:
            of(number)
        assert refused.value.code == "DJ510"
