"""A plan's pools in Bicep, in a cluster that is there.

Source: Azure, Bicep language specification: strings, objects, `existing`, `parent`.
"""

from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.arm import KIND, VERSION, properties
from donjon.fleet.pools.plan import FleetPlan
from donjon.formats.json import Json

_CLUSTER = KIND.rpartition("/")[0]
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def text(plan: FleetPlan, skus: Mapping[str, Sku]) -> str:
    """The file."""
    parts = [f"resource cluster '{_CLUSTER}@{VERSION}' existing = {{\n  name: {literal(plan.cluster.name)}\n}}\n"]
    for pool in plan.pools:
        body = literal(properties(pool, skus.get(pool.size), plan.cluster.version), 1)
        head = f"resource pool_{pool.name} '{KIND}@{VERSION}' = {{\n  parent: cluster\n  name: {literal(pool.name)}\n"
        parts.append(f"{head}  properties: {body}\n}}\n")
    return "\n".join(parts)


def literal(value: Json, depth: int = 0) -> str:
    """A value as Bicep writes it."""
    inner, outer = "  " * (depth + 1), "  " * depth
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return "'" + value.translate(_ESCAPES).replace("${", "\\${") + "'"
        case list():
            return "[\n" + "".join(f"{inner}{literal(each, depth + 1)}\n" for each in value) + f"{outer}]"
        case dict():
            lines = (f"{inner}{_key(name)}: {literal(each, depth + 1)}\n" for name, each in value.items())
            return "{\n" + "".join(lines) + f"{outer}}}"
        case _:
            return "null"


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else literal(name)
