"""The description of the routes is true: requests made from it, and others made against it, are answered as it says."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.services.attesting import SIMULATED_HOST, Service, instance, simulated
from tests.simulation.intel import world

from donjon.services.attestation.maa import openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]

DESCRIPTION = openapi.description(f"{SIMULATED_HOST}/aad")
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
SCHEMA.config.generation.update(modes=list(GenerationMode))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with simulated(folder, instance(folder, "aad"), world()) as running:
        yield running


def test_it_is_served_under_the_instances_path(service: Service) -> None:
    assert service.client.get("/aad/openapi.json").json() == DESCRIPTION


@SCHEMA.parametrize()
@settings(
    max_examples=5,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(service: Service, case: Case[Any]) -> None:
    case.call_and_validate(base_url=f"{service.address}/aad", verify=service.authority, checks=CHECKS)
