"""Gramine's manifest: what is read of it, its defaults, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.enclave.gramine import MAX_MANIFEST, looks_like_manifest, read_manifest
from donjon.errors import Malformed

MANIFEST = """
loader.entrypoint.uri = "file:/usr/lib/gramine/libsysdb.so"
loader.insecure__use_cmdline_argv = true
libos.entrypoint = "/usr/bin/python3"
[sgx]
enclave_size = "1G"
max_threads = 32
edmm_enable = false
preheat_enclave = true
debug = true
remote_attestation = "dcap"
isvprodid = 7
isvsvn = 2
allowed_files = ["file:/etc/resolv.conf", {uri = "file:/tmp/"}]
file_check_policy = "allow_all_but_log"
[[sgx.trusted_files]]
uri = "file:/usr/bin/python3"
sha256 = "00"
[[sgx.trusted_files]]
uri = "file:/lib/"
"""


def test_it_says_what_decides_about_size_threads_and_trust() -> None:
    manifest = read_manifest(MANIFEST.encode())
    assert (manifest.enclave_size, manifest.threads, manifest.has_edmm, manifest.is_preheated) == (1 << 30, 32, False, True)
    assert (manifest.debug, manifest.attestation, manifest.product_id, manifest.svn) == (True, "dcap", 7, 2)
    assert manifest.entry == "/usr/bin/python3"
    assert (manifest.trusted_files, manifest.allowed_files) == (2, ("file:/etc/resolv.conf", "file:/tmp/"))
    assert manifest.insecure == ("loader.insecure__use_cmdline_argv", "sgx.file_check_policy")


@pytest.mark.parametrize(
    ("text", "size", "threads"),
    [
        ("", 256 << 20, 4),
        ("edmm_enable = true", 1 << 40, 4),
        ('edmm_enable = true\nenclave_size = "2G"', 2 << 30, 4),
        ('enclave_size = "0x10000000"', 256 << 20, 4),
        ("thread_num = 6", 256 << 20, 6),  # before version 1.4
    ],
)
def test_what_it_leaves_out_is_gramines_default(text: str, size: int, threads: int) -> None:
    manifest = read_manifest(f"[sgx]\n{text}\n".encode())
    assert (manifest.enclave_size, manifest.threads) == (size, threads)


@pytest.mark.parametrize(
    "content",
    [
        b"[sgx",
        b"sgx = 1",
        b"\xff",
        b'[sgx]\nenclave_size = "300M"',
        b"[sgx]\nenclave_size = 1024",
        b'[sgx]\nenclave_size = "' + b"9" * 5000 + b'"',
        b"[sgx]\nmax_threads = 0",
        b"[sgx]\nmax_threads = 99999999999",
        b"[sgx]\ndebug = 1",
        b"[sgx]\nisvsvn = -1",
        b"[sgx]\ntrusted_files = 4",
        b"x = " + b"[" * 100_000,  # deeper than anybody reads
        b"x = " + b"9" * 100_000,
        b"#" * (MAX_MANIFEST + 1),
    ],
)
def test_what_gramine_refuses_is_a_coded_error(content: bytes) -> None:
    with pytest.raises(Malformed) as error:
        read_manifest(content)
    assert error.value.code == "DJ317"


@given(st.integers(0, len(MANIFEST)), st.binary(max_size=6))
def test_whatever_is_changed_there_is_an_answer_or_a_coded_error(place: int, other: bytes) -> None:
    content = MANIFEST.encode()
    try:
        read_manifest(content[:place] + other + content[place + len(other) :])
    except Malformed as error:
        assert error.code == "DJ317"  # noqa: PT017 - either answer is right.


def test_it_is_told_from_a_program_and_from_other_text() -> None:
    assert looks_like_manifest(MANIFEST.encode())
    assert not looks_like_manifest(b"\x7fELF\0sgx entrypoint")
    assert not looks_like_manifest(b"# notes on sgx")
