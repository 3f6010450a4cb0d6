"""The codes under which admission refuses and warns beside the table in `rules`."""

AGENT_RULE = "DJ110"
"""The code under which the node agent's own policy refuses."""

CLEANUP_RULE, EVENT_RULE = "DJ118", "DJ119"
"""The codes under which the policies about the cleanup's account and the agent's Events refuse."""

TOO_MUCH = "DJ103"
"""That of more EPC than any machine has."""

DEVICE_CLASS_RULE = "DJ121"
"""The code under which device classes that claim our names are refused."""

CORE_RULE = "DJ120"
"""The code under which `donjon check` says what Kubernetes itself refuses."""

MISPLACED, WITHOUT_NUMBER = "DJ150", "DJ152"
"""The codes under which `donjon check` says what no policy sees, beside `MISNAMED`: SGX asked for in vain."""

UNLABELLED, ELSEWHERE = "DJ154", "DJ155"
"""Those of a node chosen by a label that nobody of ours writes, and of a name that means nothing where it stands."""

UNCOUNTED, GIVEN_TO_ALL, BOUNDING = "DJ156", "DJ157", "DJ158"
"""Those of objects that bound or offer EPC: a quota's key that counts nothing, a LimitRange's defaults, and all others."""

IN_A_SANDBOX = "DJ159"
"""That of a socket of the host in a virtual machine."""

UNLIKELY = "DJ122"
"""That of more EPC than was probably meant."""

TWICE = "DJ160"
"""That of a key that stands twice in its object."""

IDLE_SCALING = "DJ162"
"""That of an autoscaler on EPC that would do nothing."""
