"""What a policy is told of itself, in its status: whether it is in force, and if not, why."""

from datetime import datetime

from donjon.enclave.trust import EnclaveTrust
from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.objects import condition_of

READY = "Ready"
MAX_MESSAGE = 2048  # characters of a status
_DECISIVE = ("status", "reason", "observedGeneration")


def status_of(item: JsonObject, trust: EnclaveTrust, error: Malformed | None, moment: datetime) -> JsonObject | None:
    """The status that the policy should have; `None` where it has it.

    Another message alone is not written: two versions of Donjon side by side would do so for ever.
    """
    generation, before = at(item, "metadata", "generation"), condition_of(item, READY)
    ready = _condition(trust, error) | ({"observedGeneration": generation} if generation is not None else {})
    if all(before.get(each) == ready.get(each) for each in _DECISIVE):
        return None
    same = before.get("status") == ready["status"] and bool(before.get("lastTransitionTime"))
    since: Json = before["lastTransitionTime"] if same else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    others: list[Json] = [each for each in objects(at(item, "status", "conditions")) if each.get("type") != READY]
    numbers: JsonObject = {"signers": len(trust.signers), "measurements": len(trust.measurements)} if error is None else {}
    observed: JsonObject = {} if generation is None else {"observedGeneration": generation}
    return {**observed, "conditions": [*others, {**ready, "lastTransitionTime": since}], **numbers}


def _condition(trust: EnclaveTrust, error: Malformed | None) -> JsonObject:
    if error is not None:
        return {"type": READY, "status": "False", "reason": "Unreadable", "message": str(error)[:MAX_MESSAGE]}
    becomes = "refused" if trust.enforces else "warned about"
    return {"type": READY, "status": "True", "reason": "InForce", "message": f"pods that it does not admit are {becomes}"}
