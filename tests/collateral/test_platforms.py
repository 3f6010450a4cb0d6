"""Platforms as they register: what Intel's tool sends, and what nobody should."""

import json

import pytest
from tests.collateral.machines import ENCRYPTED_PPID, registration

from donjon.collateral import platforms
from donjon.collateral.platforms import MAX_MANIFEST, MAX_REGISTRATION
from donjon.collateral.selection import Tcb
from donjon.errors import Malformed

SAID = {
    "enc_ppid": ENCRYPTED_PPID.hex(),
    "pce_id": "0000",
    "cpu_svn": "0b" * 16,
    "pce_svn": "0D00",
    "qe_id": "aa" * 16,
    "platform_manifest": "",
}


def said(**changes: object) -> bytes:
    return json.dumps({name: value for name, value in {**SAID, **changes}.items() if value is not None}).encode()


def test_what_intels_tool_sends_of_a_machine_with_one_package_is_read() -> None:
    found = platforms.parse(said())
    assert found.name == registration().name
    assert (found.tcb, found.encrypted_ppid) == (Tcb(components=b"\x0b" * 16, pce_svn=13), ENCRYPTED_PPID)
    assert found.manifest is None


@pytest.mark.parametrize("dropped", [None, ""])
def test_a_manifest_alone_is_enough(dropped: str | None) -> None:
    found = platforms.parse(said(enc_ppid=dropped, cpu_svn=dropped, pce_svn=dropped, platform_manifest="00ff"))
    assert (found.tcb, found.encrypted_ppid, found.manifest) == (None, None, b"\0\xff")
    assert found.can_be_asked_for


def test_what_is_told_of_a_platform_is_what_it_said() -> None:
    first, second = platforms.parse(said()), platforms.parse(said(enc_ppid=None, cpu_svn=None, platform_manifest="00ff"))
    told = json.loads(platforms.encode([first, second]))
    assert told[0] == {**SAID, "qe_id": "AA" * 16, "cpu_svn": "0B" * 16}
    assert (told[1]["enc_ppid"], told[1]["pce_svn"], told[1]["platform_manifest"]) == ("", "", "00ff")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"qe_id":"a","qe_id":"b"}',
        said(qe_id=None),
        said(qe_id=""),
        said(qe_id="a" * 261),
        said(qe_id="a\nb"),
        said(qe_id="\u00e9"),
        said(qe_id=7),
        said(pce_id=None),
        said(pce_id="00"),
        said(pce_id="00000"),
        said(pce_id="00 00"),
        said(cpu_svn="0b" * 15),
        said(cpu_svn=["0b" * 16]),
        said(cpu_svn=None),
        said(pce_svn="0d"),
        said(pce_svn=13),
        said(pce_svn=""),
        said(enc_ppid=ENCRYPTED_PPID.hex()[:-2]),
        said(enc_ppid="zz" * 384),
        said(enc_ppid="00" * 384),
        said(enc_ppid={}),
        said(platform_manifest="0"),
        said(platform_manifest=["00"]),
        said(platform_manifest="00" * (MAX_MANIFEST + 1)),
        said(more="x" * MAX_REGISTRATION),
        b"[" * 100_000,
    ],
)
def test_what_is_no_platform_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        platforms.parse(text)


def test_a_registration_of_very_many_values_is_refused_before_it_is_read() -> None:
    with pytest.raises(Malformed, match="more values and names than the 1000") as refused:
        platforms.parse(said(platform_manifest=[0] * 1000))
    assert refused.value.code == "DJ210"
