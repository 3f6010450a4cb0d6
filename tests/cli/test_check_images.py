"""`donjon check --images`: a request of EPC that is smaller than what the image's enclave takes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.enclave.vectors import SDK_FILE
from tests.images.made import MadeImage, layer, write_layout

from donjon.cli import donjon

MANIFEST = b'libos.entrypoint = "/app"\n[sgx]\nenclave_size = "256M"\n'
POD = """apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  containers:
  - name: app
    image: {image}
    resources:
      limits:
        sgx.intel.com/epc: {epc}
"""


def check(folder: Path, *pods: str, options: tuple[str, ...] = ("--images",)) -> Result:
    file = folder / "pods.yaml"
    file.write_text("---\n".join(pods), encoding="utf-8")
    return CliRunner().invoke(donjon, ["check", str(file), *options])


@pytest.fixture
def image(tmp_path: Path) -> str:
    files = {"app/enclave.signed.so": SDK_FILE}
    return f"oci:{write_layout(tmp_path / 'sdk', MadeImage(layer(files)))}"


@pytest.fixture
def gramine(tmp_path: Path) -> str:
    return f"oci:{write_layout(tmp_path / 'gramine', MadeImage(layer({'app.manifest.sgx': MANIFEST})))}"


def test_less_than_the_enclave_takes_is_a_warning_with_the_amount_to_ask_for(tmp_path: Path, gramine: str) -> None:
    result = check(tmp_path, POD.format(name="a", image=gramine, epc="10Mi"))
    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if "DJ359" in line)
    assert f"asks for 10Mi of EPC, and the enclave in {gramine}: app.manifest.sgx takes 256.4 MiB" in line
    assert 'sgx.intel.com/epc: "257Mi"' in line
    assert ":9: warning:" in line
    assert check(tmp_path, POD.format(name="a", image=gramine, epc="10Mi"), options=("--images", "--strict")).exit_code == 1


def test_enough_is_silent_and_so_is_a_check_that_looks_into_no_image(tmp_path: Path, image: str, gramine: str) -> None:
    assert "DJ359" not in check(tmp_path, POD.format(name="a", image=image, epc="2Mi")).stdout
    assert "DJ359" not in check(tmp_path, POD.format(name="a", image=gramine, epc="10Mi"), options=()).stdout


def test_every_pod_is_told_and_each_image_is_read_once(tmp_path: Path, gramine: str) -> None:
    pods = [POD.format(name=name, image=gramine, epc="1Mi") for name in ("a", "b")]
    result = check(tmp_path, *pods, options=("--images", "-o", "json"))
    codes = [[each["code"] for each in pod["findings"]] for pod in json.loads(result.stdout)["checked"]]
    assert [found.count("DJ359") for found in codes] == [1, 1]


def test_an_image_that_cannot_be_read_is_a_warning_of_its_own(tmp_path: Path) -> None:
    result = check(tmp_path, POD.format(name="a", image="oci:/nowhere", epc="1Mi"))
    assert (result.exit_code, "DJ360" in result.stdout) == (0, True)


def test_a_pod_that_asks_for_nothing_has_its_image_left_alone(tmp_path: Path) -> None:
    pod = POD.format(name="a", image="oci:/nowhere", epc="0")
    assert "DJ360" not in check(tmp_path, pod).stdout
