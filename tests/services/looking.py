"""A process that looks at pods as the node agent does, and prints by how many MiB its memory grew at most.

`python -m tests.services.looking pods SERVER FOLDER COUNT` follows the pods of an API server until that many changes came after
the list; `python -m tests.services.looking account SOCKET` reads a kubelet's account.
"""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

from donjon.adapters.kubeapi.client import ApiRefusal, Changed, KubeApi, ServerAccess
from donjon.adapters.kubelet.podresources import assigned_devices
from donjon.errors import Unavailable
from donjon.node.truth import beyond, watched_pod


def peak() -> int:
    """The most memory that this process had so far, in KiB."""
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1])


async def pods(server: str, folder: Path, count: int) -> None:
    api = KubeApi(ServerAccess(server=server, authority=folder / "ca.crt", token=folder / "token"))
    try:
        async with aclosing(api.follow("/api/v1/pods", "spec.nodeName=sgx-1", watched_pod, beyond)) as changes:
            async for change in changes:
                count -= isinstance(change, Changed)
                if count <= 0:
                    return
    finally:
        await api.close()


async def main(kind: str, *arguments: str) -> None:
    """What was asked for; that the answer was refused is well, too."""
    before = peak()
    try:
        if kind == "pods":
            await pods(arguments[0], Path(arguments[1]), int(arguments[2]))
        else:
            await assigned_devices(Path(arguments[0]), frozenset())
    except ApiRefusal as error:
        print(f"refused: {error.message[:200]}")  # noqa: T201 - it prints for the test.
    except Unavailable as error:
        print(f"unavailable: {error.message[:200]}")  # noqa: T201 - 〃
    print(f"grew: {(peak() - before) / 1024:.1f}")  # noqa: T201 - 〃


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
