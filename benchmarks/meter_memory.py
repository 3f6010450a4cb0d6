"""How much memory the meter takes as it runs in a pod: the whole program, over 1,000 processes, with a node full of pods.

On a kernel without SGX the programs run all the same, with the number of a device that nobody has. Needs root.
"""

import asyncio
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.adapters.fakeapi import FakeApi
from tests.adapters.trees import written
from tests.ports import free_port
from tests.services.test_meter import pod

from benchmarks.meter import crowd
from benchmarks.processes import pause, resident
from donjon.simulation import host

PODS, SECONDS = 110, 20  # pods as a kubelet takes by default
HOST = "127.0.0.1"
GOAL = 40  # MiB

PROGRAM = """
import sys
from pathlib import Path
from donjon.adapters.epc.reader import EnclaveReader
from donjon.adapters.kubeapi.client import ServerAccess
from donjon.adapters.logs import log_to_stderr
from donjon.services.meter import run
from donjon.services.meter.settings import MeterSettings
from donjon.services.meter.sources import Source

server, token, authority, root, port = sys.argv[1:]
log_to_stderr("warning")
nobodys = (10, 255)
run.in_cluster = lambda _: ServerAccess(server=server, authority=Path(authority), token=Path(token))
run.Source = lambda root: Source(root, lambda: EnclaveReader(enclaves=nobodys, guests=nobodys, free_at=0))
settings = MeterSettings(node_name="sgx-1", host_root=Path(root), listen_host="127.0.0.1", listen_port=int(port), every=1.0)
run.run(settings)
"""


def main() -> None:
    """Print the most that it had resident."""
    asyncio.run(_measure())


async def _measure() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, api, port = Path(name), FakeApi(), free_port()
        await api.start()
        for number in range(PODS):
            api.put(f"/api/v1/pods/app-{number}", pod(f"app-{number}", f"0c5a7c4e-9d6e-4a57-8f5e-{number:012}"))
        access, root = api.access(folder), written(folder / "h", host.host("dc2ds-v3"))
        words = (access.server, str(access.token), str(access.authority), str(root), str(port))
        most = await asyncio.to_thread(_most, words, port)
        await api.stop()
    print(f"the meter: at most {most:.1f} MiB resident, with {PODS} pods; goal: at most {GOAL}: {_verdict(most)}")


def _most(words: tuple[str, ...], port: int) -> float:
    """The most that the program has resident while it is asked again and again."""
    with crowd(), subprocess.Popen((sys.executable, "-c", PROGRAM, *words)) as process:
        most = 0.0
        for _ in range(SECONDS):
            _ask(port)
            most = max(most, resident(process.pid))
        process.terminate()
    return most


def _ask(port: int) -> None:
    """As a kubelet, a scraper and an agent do, more often than all of them."""
    pause(1)
    for path in ("epc", "metrics", "healthz"):
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/{path}", timeout=5) as answer:
            answer.read()


def _verdict(most: float) -> str:
    return "met" if most <= GOAL else "MISSED"


if __name__ == "__main__":
    main()
