"""Whether the policy that holds the node agent to its own node is in force: felt by trying what it forbids."""

from donjon.adapters.kubeapi.client import KubeApi, PatchType
from donjon.errors import Unavailable
from donjon.findings import codes
from donjon.formats.json import JsonObject

_PROBE: JsonObject = {"metadata": {"labels": {"node.kubernetes.io/donjon-probe": "refuse-me"}}}


async def is_leashed(api: KubeApi, node: str) -> bool:
    """Whether a patch of the node at that path is refused by our policy; a dry run, so it changes nothing where it is not."""
    try:
        await api.patch(f"{node}?dryRun=All", _PROBE, PatchType.MERGE)
    except Unavailable as error:
        if codes.FORBIDDEN_TO_AGENT in codes.codes_in(error.message):
            return True
        raise
    return False
