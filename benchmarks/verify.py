"""Verifying quotes, against bare P-256 verifications, below which it cannot be, and against dcap-qvl, which remembers nothing.

P1 a platform seen before; P2a its PCK certificate known, its quoting enclave's report new; P2b a new PCK certificate under a
known authority; P3 all cold, everything parsed. Each round times all in turn; a ratio is the median of the rounds' ratios.
"""

import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import dcap_qvl
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from donjon.attestation.memory import ENTRY, MAX_KEYS, MAX_PLATFORMS, BoundedTable, CertifiedPlatform, Memory, PlatformBoundKey
from donjon.attestation.quote import parse
from donjon.attestation.verify import verify
from donjon.collateral import bundle
from donjon.collateral.trusted import trust
from donjon.pki import p256
from donjon.pki.intel import INTEL
from donjon.pki.pck import PckPlatform

ROUNDS, CALLS = 41, 40
MOMENT = datetime(2025, 6, 20, tzinfo=UTC)
GOALS = {"P1": (0.85, 9.0), "P2a": (0.8, 4.0), "P2b": (0.6, 2.0), "P3": (0.7, None)}

_VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "dcap-qvl"
_RAW = (_VECTORS / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin").read_bytes()
_BUNDLE = (_VECTORS / "sgx_quote_collateral.json").read_bytes()


def main() -> None:
    """All figures, each with its goal."""
    contenders = _contenders()
    for call in contenders.values():
        call()
    rounds = [{name: _seconds(call) for name, call in contenders.items()} for _ in range(ROUNDS)]
    floor, peer = median(each["floor"] for each in rounds), median(each["peer"] for each in rounds)
    print(f"one bare P-256 verification {floor * 1e6:.1f} µs, dcap-qvl {peer * 1e6:.0f} µs (medians of {ROUNDS} rounds)")
    for name, floors in (("P1", 1), ("P2a", 2), ("P2b", 3)):
        goal, peer_goal = GOALS[name]
        _tell(f"{name} ratio", median(floors * each["floor"] / each[name] for each in rounds), goal)
        _tell(f"{name} peer", median(each["peer"] / each[name] for each in rounds), peer_goal)
    _tell("P3 ratio", median(each["peer with JSON"] / each["P3"] for each in rounds), GOALS["P3"][0])
    _tell("two threads ratio", _threads(contenders["P1"], contenders["floor"]), 0.9)
    _memory(MAX_PLATFORMS)


def _contenders() -> dict[str, Callable[[], object]]:
    quote, collateral = parse(_RAW), trust(bundle.parse(_BUNDLE), INTEL)
    warm, known, cold = Memory(), Memory(), Memory()
    r, s = (int.from_bytes(half, "big") for half in (quote.signature[:32], quote.signature[32:]))
    signature, signed, key = encode_dss_signature(r, s), quote.signed_data, p256.parse(quote.attestation_key).handle
    algorithm = ec.ECDSA(hashes.SHA256())
    peers, now = dcap_qvl.QuoteCollateralV3.from_json(_BUNDLE.decode()), int(MOMENT.timestamp())

    def new_report() -> object:
        known.bound_keys = BoundedTable(1)
        return verify(parse(_RAW), collateral, MOMENT, known)

    def new_certificate() -> object:
        cold.bound_keys, cold.certified_platforms = BoundedTable(1), BoundedTable(1)
        return verify(parse(_RAW), collateral, MOMENT, cold)

    return {
        "floor": lambda: key.verify(signature, signed, algorithm),
        "P1": lambda: verify(parse(_RAW), collateral, MOMENT, warm),
        "P2a": new_report,
        "P2b": new_certificate,
        "P3": lambda: verify(parse(_RAW), trust(bundle.parse(_BUNDLE), INTEL), MOMENT, Memory()),
        "peer": lambda: dcap_qvl.verify(_RAW, peers, now),
        "peer with JSON": lambda: dcap_qvl.verify(_RAW, dcap_qvl.QuoteCollateralV3.from_json(_BUNDLE.decode()), now),
    }


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()  # noqa: TID251 - a benchmark is there to ask the clock.
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS  # noqa: TID251 - this is what is measured.


def _threads(ours: Callable[[], object], floor: Callable[[], object]) -> float:
    """How much two threads gain over one, against how much bare verifications gain in the same round."""
    with ThreadPoolExecutor(2) as pool:

        def gain(call: Callable[[], object]) -> float:
            start = time.perf_counter()  # noqa: TID251 - this is what is measured.
            list(pool.map(_seconds, [call] * 20))
            return 10 * CALLS * _seconds(call) * 2 / (time.perf_counter() - start)  # noqa: TID251 - this is what is measured.

        return median(gain(ours) / gain(floor) for _ in range(15))


def _memory(platforms: int) -> None:
    """What a platform takes where that many are remembered, and how often one of them is found again."""
    quote, collateral, filled = parse(_RAW), trust(bundle.parse(_BUNDLE), INTEL), Memory(platforms)
    verify(quote, collateral, MOMENT, sample := Memory())
    (model,), (bound,) = sample.certified_platforms.values(), sample.bound_keys.values()
    raw = [p256.encode(ec.derive_private_key(number, ec.SECP256R1()).public_key()) for number in range(1, platforms + 1)]
    before = _resident()
    for number, key in enumerate(raw):
        mark = number.to_bytes(32, "big")
        certified = filled.keep_platform(b"c" + mark[1:], _certified(model, mark, bytes([*key])))
        if number < MAX_KEYS:
            filled.key_of(certified)
        filled.keep_bound_key(b"b" + mark[1:], PlatformBoundKey(p256.parse(key).handle, certified, (*bound.judged_by,)))
    entry = (_resident() - before) / platforms
    told = f"memory: {entry / 1024:.2f} KiB a platform at {platforms:,} of at most {MAX_PLATFORMS:,}"
    print(f"{told}, goal {ENTRY / 1024:.2f}: {_met(entry <= ENTRY)}")
    found = sum(filled.bound_keys.get(b"b" + number.to_bytes(31, "big")) is not None for number in range(platforms))
    print(f"hit rate: {found / platforms:.3f} of platforms seen before, while no more than that are seen")


def _certified(model: CertifiedPlatform, mark: bytes, key: bytes) -> CertifiedPlatform:
    """Another platform's of the same family, no byte of it shared with the model's."""
    of, half = model.platform, mark[16:]
    platform = PckPlatform(
        ca=of.ca,
        ppid=b"p" + half[1:],
        components=bytes([*of.components]),
        pce_svn=of.pce_svn,
        cpu_svn=bytes([*of.cpu_svn]),
        pce_id=bytes([*of.pce_id]),
        fmspc=bytes([*of.fmspc]),
        sgx_type=of.sgx_type,
        platform_instance_id=b"i" + half[1:],
        flags=of.flags,
    )
    second = timedelta(seconds=int.from_bytes(half, "big"))
    serial = (1 << 150) + int.from_bytes(half, "big")
    return CertifiedPlatform(key, serial, model.begins + second, model.ends - second, model.ca, platform)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _tell(name: str, ratio: float, goal: float | None) -> None:
    print(f"{name} {ratio:.2f}" + (f", goal {goal:.2f}: {_met(ratio >= goal)}" if goal is not None else ""))


def _met(good: bool) -> str:  # noqa: FBT001 - said at once.
    return "met" if good else "MISSED"


if __name__ == "__main__":
    main()
    sys.stdout.flush()
