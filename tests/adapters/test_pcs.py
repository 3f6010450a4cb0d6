"""An upstream's answer, which is bounded as a whole."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

import pytest
from testbed import clock
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.simulation import intel

from donjon.adapters.intel import pcs
from donjon.collateral import plan
from donjon.errors import Unavailable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"
SECONDS = 0.5


@contextmanager
def dripping(said: bytes, then: bytes) -> Iterator[str]:
    """An upstream that says something at once, and then a byte now and then, for ever; its address."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(said)
            while not ended.wait(0.1):
                connection.sendall(then)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()


@pytest.mark.parametrize(
    ("said", "then"), [(HEAD + b"\r\n", b" "), (HEAD, b"X"), (b"HTTP/1.1 200", b"0"), (b"", b"H"), (HEAD, b"X: y\r\n")]
)
def test_an_answer_that_drips_ends_in_time(monkeypatch: pytest.MonkeyPatch, said: bytes, then: bytes) -> None:
    monkeypatch.setattr(pcs, "SECONDS", SECONDS)
    with dripping(said, then) as address, pcs.open_service(address) as service:
        began = clock.now()
        with pytest.raises(Unavailable, match=r"no whole answer within 0\.5 s") as refused:
            service.answer(plan.root_ca_crl())
        assert refused.value.code == "DJ281"
        assert clock.now() - began < 10 * SECONDS


@pytest.mark.parametrize(("lost", "expectation"), [(0, nullcontext()), (1, nullcontext()), (2, pytest.raises(Unavailable))])
def test_what_a_connection_ended_without_answering_is_asked_for_once_more(
    lost: int, expectation: AbstractContextManager[object]
) -> None:
    made = intel.world()
    pccs = Pccs(fakepccs.answers(made), losing=lost)
    with fakepccs.serving(pccs), pcs.open_service(pccs.address) as service, expectation:
        assert service.answer(plan.root_ca_crl()).body == made.collateral.root_ca_crl.hex().encode()
    assert pccs.losing == 0


@pytest.mark.parametrize(("name", "value"), [("SSL_CERT_FILE", "/nowhere.pem"), ("HTTP_PROXY", "ftp://127.0.0.1")])
def test_what_the_environment_names_and_nobody_has_is_a_coded_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pcs.open_service("http://192.0.2.1:9") as service, pytest.raises(Unavailable) as refused:
        service.answer(plan.root_ca_crl())
    assert refused.value.code == "DJ281"


def test_an_answer_that_is_small_only_on_the_way_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(1 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with dripping(head + packed, b"") as address, pcs.open_service(address) as service:
        assert service.answer(plan.root_ca_crl()).body == packed


def test_an_upstream_is_asked_for_what_is_not_packed() -> None:
    with pcs.open_service("http://127.0.0.1:9") as service:
        assert service._client._client.headers["accept-encoding"] == "identity"


def test_an_answer_that_is_longer_than_any_is_not_read_to_its_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    with dripping(head + bytes(5 << 20), b"") as address, pcs.open_service(address) as service:
        with pytest.raises(Unavailable, match="answers more than 4194304 bytes") as refused:
            service.answer(plan.root_ca_crl())
        assert refused.value.code == "DJ281"


def test_who_waits_when_it_is_closed_is_told_so() -> None:
    told: list[str] = []

    def wait(service: pcs.Service) -> None:
        with pytest.raises(Unavailable) as refused:
            service.answer(plan.root_ca_crl())
        told.append(refused.value.code)

    with dripping(HEAD, b"X: y\r\n") as address:
        with pcs.open_service(address) as service:
            waiting = threading.Thread(target=wait, args=(service,))
            waiting.start()
            clock.pause(0.3)
        waiting.join(10)
    assert told == ["DJ281"]
