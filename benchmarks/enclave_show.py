"""`donjon enclave show` of a stream of Fortanix' EDP, 16 MiB, beside their `sgxs-info summary`, which parses it.

Ours checks each record, works out MRENCLAVE and prints it; theirs hashes nothing, and has no interpreter that starts.
`sgxs-sign`, which hashes and signs, stands beside. `make sgxs-tools` builds both.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from testbed.binaries import cache

from donjon.adapters.keys.enclave import fresh_enclave_key

PAGES, ROUNDS = 4096, 9
_ADD, _EXTEND = b"EADD\0\0\0\0", b"EEXTEND\0"
_CREATE = b"ECREATE\0" + (1).to_bytes(4, "little") + (1 << 25).to_bytes(8, "little") + bytes(44)


def main() -> None:
    """All in turn, the median of each, and the ratios."""
    programs = sorted(cache().glob("client-sgxs-tools-*/bin"))
    if not programs:
        sys.exit("needs Fortanix's sgxs-tools: make sgxs-tools")
    with tempfile.TemporaryDirectory() as name:
        stream, key = Path(name) / "stream.sgxs", Path(name) / "key.pem"
        stream.write_bytes(_CREATE + b"".join(map(_page, range(PAGES))))
        key.write_bytes(fresh_enclave_key(None))
        donjon = str(Path(sys.executable).parent / "donjon")
        sign = (str(programs[-1] / "sgxs-sign"), "--key", str(key), str(stream), str(Path(name) / "theirs.sig"))
        contenders = {
            "donjon enclave show": (donjon, "enclave", "show", str(stream)),
            "sgxs-info summary": (str(programs[-1] / "sgxs-info"), "summary", str(stream)),
            "sgxs-sign": sign,
            "donjon --version": (donjon, "--version"),
        }
        rounds = [{what: _seconds(command) for what, command in contenders.items()} for _ in range(ROUNDS)]
    for what in contenders:
        print(f"{what} {median(each[what] for each in rounds) * 1000:.0f} ms of processor time (median of {ROUNDS}, in turn)")
    for peer in ("sgxs-info summary", "sgxs-sign"):
        print(f"show / {peer}: {median(each['donjon enclave show'] / each[peer] for each in rounds):.2f}")


def _page(number: int) -> bytes:
    content, place = os.urandom(4096), number * 4096
    record = _ADD + place.to_bytes(8, "little") + (0x205).to_bytes(8, "little") + bytes(40)
    for chunk in range(0, 4096, 256):
        record += _EXTEND + (place + chunk).to_bytes(8, "little") + bytes(48) + content[chunk : chunk + 256]
    return record


def _seconds(command: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
