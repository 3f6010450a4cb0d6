"""Real enclaves, and ways to spoil them."""

from pathlib import Path

from donjon.sgx.sigstruct import SigStruct

FOLDER = Path(__file__).parents[2] / "vectors" / "sigstruct"


def sigstruct(name: str) -> SigStruct:
    """The SIGSTRUCT that a file begins with."""
    return SigStruct((FOLDER / name).read_bytes()[: SigStruct.SIZE])


EDP = sigstruct("edp_test_enclave.sig")
SAMPLE = sigstruct("edp_sig1.sigstruct.bin")
SDK_FILE = (FOLDER / "ita-minimal-enclave.signed.so").read_bytes()
OPEN_ENCLAVE_FILE = (FOLDER / "own-open-enclave.signed").read_bytes()
OPEN_ENCLAVE_MEASUREMENT = "42a2d0c203fb5a7d9e77cb8e28ed8e8e52a096fe830cdc54db3b2977d3b38fb7"


def changed(whole: SigStruct, place: int, value: int) -> SigStruct:
    """The same with another byte."""
    return SigStruct(whole.raw[:place] + bytes([value]) + whole.raw[place + 1 :])
