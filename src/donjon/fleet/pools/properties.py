"""Properties of an agent pool of AKS: when what is there is what a plan says, and what AKS or others write there besides.

Source: Azure, AKS: agentPools, create or update; spot node pools (the label and the taint that AKS adds).
"""

from collections.abc import Mapping

from donjon.formats.json import Json

TAGS, TAINTS, LABELS = "tags", "nodeTaints", "nodeLabels"
COUNT, SCALES, BOUNDS = "count", "enableAutoScaling", ("minCount", "maxCount")
VERSION = "orchestratorVersion"
SUBNET = "vnetSubnetID"  # Azure writes its own names in it in one case or another
DEFAULTS: Mapping[str, Json] = {"scaleSetPriority": "Regular", SCALES: False, "osDiskType": "Managed"}
"""What a pool has of which the plan says nothing."""

_SETS = frozenset({TAINTS, "availabilityZones"})  # the order in which they are written says nothing
_OF_AKS = "kubernetes.azure.com/"


def is_same(name: str, there: Json, plan: Json) -> bool:
    """Whether nothing is to be changed: tags may be more, AKS' own labels and taints do not count, a version may say no patch."""
    match there, plan:
        case dict(), dict() if name == TAGS:
            return all(there.get(key) == value for key, value in plan.items())
        case dict(), dict() if name == LABELS:
            return {key: value for key, value in there.items() if not is_of_aks(key)} == plan
        case list(), list() if name in _SETS:
            return sorted(str(each) for each in there if not is_of_aks(each)) == sorted(map(str, plan))
        case str(), str() if name == SUBNET:
            return there.casefold() == plan.casefold()
        case str(), str() if name == VERSION:
            return there == plan or there.startswith(f"{plan}.")
        case _:
            return there == plan


def is_of_aks(label_or_taint: Json) -> bool:
    """Whether AKS itself gives it to a pool."""
    return str(label_or_taint).startswith(_OF_AKS)
