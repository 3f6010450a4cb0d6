"""What was found in an image survives being written down, and nothing that somebody else wrote is taken for it."""

from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.deploy.conftest import CHART
from tests.enclave.vectors import EDP, SAMPLE, SDK_FILE

from donjon.enclave.record import FileEnclave, InspectedImage, read_record, write_record
from donjon.enclave.search import enclaves
from donjon.errors import Malformed
from donjon.sgx.sigstruct import SigStruct

DIGEST = f"sha256:{'ab' * 32}"
CRD = YAML(typ="safe").load(CHART / "files/crds/enclaveimages.yaml")
FOUND = tuple(
    FileEnclave(path=path, enclave=enclave)
    for path, content in {"opt/a.sig": EDP.raw, "opt/b.sig": SAMPLE.raw, "lib/c.signed.so": SDK_FILE}.items()
    for enclave in enclaves(content)
)
IMAGE = InspectedImage(digest=DIGEST, enclaves=FOUND, faults=("opt/d: broken [DJ313]",))


def test_what_was_found_is_read_as_it_was_written() -> None:
    assert len(FOUND) >= 3
    assert read_record(write_record(IMAGE, "1"), "1") == IMAGE


def test_another_version_of_donjon_is_not_believed() -> None:
    assert read_record(write_record(IMAGE, "1"), "2") is None


def test_the_chart_knows_every_field_that_is_written() -> None:
    spec: Any = write_record(IMAGE, "1")["spec"]
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(spec) == set(schema["properties"]) == set(schema["required"])
    item = schema["properties"]["enclaves"]["items"]
    for each in spec["enclaves"]:
        assert set(item["required"]) <= set(each) <= set(item["properties"])
        assert len(each["sigstruct"]) <= item["properties"]["sigstruct"]["maxLength"]


WRITTEN: Any = write_record(IMAGE, "1")["spec"]
FIRST = WRITTEN["enclaves"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": f"sha256:{'cd' * 32}"},
        {"digest": "sha256:no"},
        {"enclaves": [{}]},
        {"enclaves": [FIRST] * 65},
        {"enclaves": [FIRST | {"sigstruct": "AAAA"}]},
        {"enclaves": [FIRST | {"sigstruct": "no base64"}]},
        {"enclaves": [FIRST | {"family": "nobody"}]},
    ],
)
def test_what_was_changed_is_refused(change: dict[str, Any]) -> None:
    record = write_record(IMAGE, "1")
    spec: Any = record["spec"]
    with pytest.raises(Malformed) as raised:
        read_record({**record, "spec": spec | change}, "1")
    assert raised.value.code == "DJ376"


def test_the_sigstruct_is_the_one_word_on_who_signed() -> None:
    record: Any = write_record(IMAGE, "1")
    record["spec"]["enclaves"][0]["mrsigner"] = "00" * 32
    read = read_record(record, "1")
    assert read is not None
    sigstruct = read.enclaves[0].enclave.sigstruct
    assert sigstruct == EDP
    assert isinstance(sigstruct, SigStruct)
