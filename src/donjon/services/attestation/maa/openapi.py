"""The description of an instance's routes, OpenAPI 3.1, written by hand: bodies are read to the letter by the room `maa`, and a
library's models would read them a second time, differently.

Source: OpenAPI 3.1.0; the names and bounds are those of the rooms.
"""

from collections.abc import Iterable

from donjon import __version__
from donjon.attestation.binding import MAX_DATA, MAX_NONCE
from donjon.formats.json import Json, JsonObject
from donjon.maa.refusals import Code
from donjon.maa.requests import MAX_BODY, Change, DataType
from donjon.maa.versions import ATTESTED, TCB_BASELINES, ApiVersion, AttestationType
from donjon.policy.parsing import MAX_SIZE
from donjon.signing.jws import MAX_TOKEN

JSON, TEXT = "application/json", "text/plain"

_ALWAYS = (400, 401, 403, 405, 429, 500, 503)
_WITH_BODY = (415,)
_BY_THE_SERVER = {408: "slower than anybody is waited for", 413: "a body that is too large", 431: "headers that are too large"}
_EVIDENCE = {AttestationType.OPEN_ENCLAVE: "report"}
_BASE64 = r"^([A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}$"
_JWT = r"^[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$"

_DESCRIPTION = (
    "Attests SGX enclaves and TDX trust domains. Errors carry the code of `donjon explain` in brackets. Names of members and "
    "enumerations are read in any case; a name that stands twice, in whatever case, is refused. "
    "Every answer has `x-ms-request-id`: a request's own `x-ms-client-request-id` where it has one."
)


def description(issuer: str) -> JsonObject:
    """The OpenAPI document of the instance with that issuer."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Donjon, as Microsoft Azure Attestation",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": issuer}],
        "security": [{}, {"bearer": []}],
        "paths": _paths(),
        "components": {"schemas": _schemas(), "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _paths() -> JsonObject:
    token_answer = _answer("A token that says what was asked for", "Token")
    versions = _version(ApiVersion)
    paths: dict[str, JsonObject] = {
        "/.well-known/openid-configuration": {"get": _operation("What the instance tells of itself", _answer("It", "Metadata"))},
        "/certs": {"get": _operation("The keys by which its tokens are checked", _answer("They", "Keys"))},
        "/openapi.json": {"get": _operation("This description", _answer("It", None))},
        "/certificates": {"get": _operation("Its policy management certificates", token_answer, versions)},
    }
    for kind in AttestationType:
        name = f"Attest{kind}" if kind in ATTESTED else "Refused"
        says = "Have evidence judged" if kind in ATTESTED else "Is not attested here, and refused"
        paths[f"/attest/{kind}"] = {"post": _operation(says, token_answer, versions, body=_body(JSON, _ref(name)))}
        policy = _body(TEXT, {"type": "string", "pattern": _JWT, "maxLength": MAX_TOKEN})
        paths[f"/policies/{kind}"] = {
            "get": _operation("The policy", token_answer, versions),
            "put": _operation("Set the policy", token_answer, versions, body=policy),
        }
        paths[f"/policies/{kind}:reset"] = {
            "post": _operation("Have the default policy again", token_answer, versions, body=policy)
        }
        baselines = _answer("The TCB evaluation data numbers of the collateral that is here", "Baselines")
        paths[f"/tcbbaselines/{kind}"] = {"get": _operation("TCB baselines", baselines, _version(TCB_BASELINES), others=(404,))}
    for change, verb in ((Change.ADD, "add"), (Change.REMOVE, "remove")):
        body = _body(JSON, {"oneOf": [{"type": "string", "pattern": _JWT}, _object({change.value: {"type": "string"}})]})
        paths[f"/certificates:{verb}"] = {"post": _operation(f"{verb} a certificate", token_answer, versions, body=body)}
    return {**paths}


def _operation(
    summary: str,
    answer: JsonObject,
    version: JsonObject | None = None,
    body: JsonObject | None = None,
    others: tuple[int, ...] = (),
) -> JsonObject:
    statuses = (*_ALWAYS, *others, *(_WITH_BODY if body else ()))
    refusals: dict[str, Json] = {str(status): _answer("Refused, and why", "Error") for status in sorted(statuses)}
    by_the_server: dict[str, Json] = {str(status): _answer(reason, "Error") for status, reason in _BY_THE_SERVER.items()}
    operation: JsonObject = {"summary": summary, "responses": {"200": answer, **refusals, **by_the_server}}
    if version is not None:
        operation["parameters"] = [version]
    if body is not None:
        operation["requestBody"] = body
    return operation


def _version(versions: Iterable[ApiVersion]) -> JsonObject:
    names: list[Json] = [str(each) for each in versions]
    return {"name": "api-version", "in": "query", "required": True, "schema": {"type": "string", "enum": names}}


def _body(kind: str, schema: JsonObject) -> JsonObject:
    return {"required": True, "content": {kind: {"schema": schema}}, "description": f"At most {MAX_BODY} bytes."}


def _answer(summary: str, name: str | None) -> JsonObject:
    return {"description": summary, "content": {JSON: {"schema": {"type": "object"} if name is None else _ref(name)}}}


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: JsonObject, required: Iterable[str] | None = None, *, more: bool = False) -> JsonObject:
    names: list[Json] = [*(properties if required is None else required)]
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": more}


def _schemas() -> JsonObject:
    codes: list[Json] = [str(each) for each in Code]
    text: JsonObject = {"type": "string"}
    beside: JsonObject = {
        "runtimeData": {"oneOf": [_ref("Data"), {"type": "null"}]},
        "initTimeData": {"oneOf": [_ref("Data"), {"type": "null"}]},
        "draftPolicyForAttestation": {"type": ["string", "null"], "maxLength": MAX_SIZE},
        "nonce": {"type": ["string", "null"], "maxLength": MAX_NONCE},
    }
    attested: JsonObject = {
        f"Attest{kind}": _object({(name := _EVIDENCE.get(kind, "quote")): _ref("Base64"), **beside}, (name,)) for kind in ATTESTED
    }
    baseline = _object(
        {
            "tcbIdentifier": text,
            "tcbEvaluationDataNumber": {"type": "integer"},
            "tcbReleaseDate": {"type": "string", "format": "date-time"},
            "isSelectedTcb": {"type": "boolean"},
        }
    )
    data: JsonObject = {"data": _ref("Base64"), "dataType": {"type": "string", "enum": [*map(str, DataType)]}}
    return {
        **attested,
        "Refused": {"type": "object"},
        "Base64": {"type": "string", "pattern": _BASE64, "description": "Of either alphabet, padded or not."},
        "Data": {**_object(data), "description": f"At most {MAX_DATA} bytes; JSON: the text of one object."},
        "Token": _object({"token": {"type": "string", "pattern": _JWT}}),
        "Error": _object({"error": _object({"code": {"type": "string", "enum": codes}, "message": text})}),
        "Keys": _object({"keys": {"type": "array", "items": _object({"kid": text, "kty": text}, more=True)}}),
        "Metadata": _object({"issuer": text, "jwks_uri": text}, more=True),
        "Baselines": _object({"tcbBaselines": {"type": "array", "items": baseline}}),
    }
