"""Which of the host's paths lead to its SGX devices, however they are spelled; for Python, and as patterns for the policies.

A path may name a device, below `/proc/PID/root` too, or hold them all (`/dev`, `/`). Kubernetes itself refuses `..`. Not known
here: where links of the host lead, and what a mount's subPath takes out of a volume.
"""

from collections.abc import Callable, Collection, Iterable

from donjon.kube.names import DEVICE_NAMES

MAX_PATH = 4096  # characters; the kernel takes no path of as many bytes (limits.h, PATH_MAX), so no kubelet mounts it
MAX_PATHS = 100
"""How many that may lead there are looked at closely, for the API server's budget for CEL; of more, all are taken for such."""

DEVICE_SUBSTRING = "sgx"  # what a path that names a device has in it

NAMES_A_DEVICE = rf"^(\.?/)*(proc/(?s:.*/)?)?dev/(\.?/)*({'|'.join(DEVICE_NAMES)})"
HOLDS_DEVICES = r"^(\.?/)*(\.?|(dev|proc/(?s:.*/)?(root|cwd)(/(\.?/)*dev)?)(/(\.?/)*\.?)?)$"
"""The same as below for RE2, which takes time in proportion to the path; Python's `re` would not."""


def devices(paths: Iterable[str], *, asks: bool) -> tuple[str, ...]:
    """Those that lead to a device: by its name, and for a pod that asks for SGX also those that hold them.

    Others mount `/` or `/dev` for reasons of their own, and are none of our business.
    """
    mounted = [path for path in paths if 0 < len(path) < MAX_PATH]
    leading = _all_or(names_a_device, [path for path in mounted if DEVICE_SUBSTRING in path])
    holding = _all_or(holds_devices, mounted) if asks else set()
    return tuple(path for path in mounted if path in leading | holding)


def _all_or(judged: Callable[[str], bool], paths: Collection[str]) -> set[str]:
    return set(paths) if len(paths) > MAX_PATHS else set(filter(judged, paths))


def names_a_device(path: str) -> bool:
    """Whether it is a device of ours, or below a folder of them."""
    steps = _steps(path)
    last = len(steps) - 1 if steps[:1] == ["proc"] else 1
    return any(steps[at] == "dev" and steps[at + 1].startswith(DEVICE_NAMES) for at in range(min(last, len(steps) - 1)))


def holds_devices(path: str) -> bool:
    """Whether the devices are somewhere below it."""
    steps = _steps(path)
    if steps[-1:] == ["dev"]:
        steps = steps[:-1]
    return not steps or (steps[0] == "proc" and len(steps) > 1 and steps[-1] in {"root", "cwd"})


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in {"", "."}]
