"""What an API server makes of a patch of a node: RFC 7386 merge patches, and strategic ones as far as a node's status needs."""

from copy import deepcopy

from donjon.formats.json import Json, JsonObject, objects


def merged(target: Json, patch: Json) -> Json:
    """RFC 7386, in full."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def strategically_merged(node: JsonObject, patch: JsonObject) -> JsonObject:
    """A node after a strategic merge patch: maps are merged, and the list of conditions by its key `type`."""
    rest = deepcopy(patch)
    status = rest.get("status")
    changes = objects(status.pop("conditions", None)) if isinstance(status, dict) else ()
    result = merged(node, rest)
    assert isinstance(result, dict)
    if changes:
        result["status"] = _with_conditions(result.get("status"), changes)
    return result


def _with_conditions(status: Json, changes: tuple[JsonObject, ...]) -> JsonObject:
    said = dict(status) if isinstance(status, dict) else {}
    known = {str(entry.get("type")): entry for entry in objects(said.get("conditions"))}
    for change in changes:
        kind = str(change.get("type"))
        if change.get("$patch") == "delete":
            known.pop(kind, None)
        else:
            known[kind] = {**known.get(kind, {}), **change}
    said["conditions"] = list(known.values())
    return said
