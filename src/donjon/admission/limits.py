"""How much of a pod the rules look at, and how much of it they repeat."""

from collections.abc import Mapping

from donjon.kube.names import DEVICES, EPC_UNITS

MAX_CONTAINERS = 100  # of a pod that asks, init containers counted; the API server's budget for CEL holds several times that
MAX_DEVICES = 1 << 20  # of one container; a node offers some hundred
MAX_COUNTED = 1 << 46  # bytes of EPC of one container
"""From a little above this on the API server's CEL takes no quantity with a binary suffix for an integer.

k8s.io/apimachinery `resource.ParseQuantity` keeps such a number as an int64 while its digits and its suffix are short enough: up
to 99Ti, 99999Gi, 99999999Mi or 99999999999Ki.
"""
LIKELY = 1000 << 30  # bytes of EPC of one container; Intel's processors have up to 512 GiB each
"""What is meant in bytes and written under a name that counts MiB comes out as this or more from 1Mi on."""
UNSHOWN = "\n\r\t\x1b"  # in what someone else wrote: the API server drops a message with a line break and shows the expression
MAX_LIST_LENGTH = 170  # characters of a list that someone else can make long; a message of the API server ends at 5 KiB

BOUNDS: Mapping[str, int] = {name: MAX_COUNTED // unit for name, unit in EPC_UNITS.items()} | dict.fromkeys(DEVICES, MAX_DEVICES)
"""From where on a number is too much. The sum of all containers that may be in one pod is far below an int64, beyond which the
scheduler and the kubelet wrap: the pod would seem to ask for less than nothing, and so would everybody else on its node."""
