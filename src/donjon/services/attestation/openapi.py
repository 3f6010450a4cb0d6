"""The description of an instance's routes, OpenAPI 3.1: made of the tables that the routes go by."""

from donjon.kube.json import JsonObject


def description(issuer: str) -> JsonObject:
    """Of the instance with that issuer."""
    return {"openapi": "3.1.0", "servers": [{"url": issuer}]}
