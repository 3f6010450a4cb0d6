"""What is answered at a path where nothing is: in the form of the routes beside it, with the fault of the URL if it shows.

Clients put together the URL that they were given and a path of their own: one slash too many or too few, and every call fails.
"""

import json
import re

from starlette.requests import Request
from starlette.responses import Response

from donjon.formats.words import excerpt
from donjon.maa.refusals import NOT_FOUND, Code, Refusal
from donjon.services.attestation.pccs.answers import refusal

_OF_THE_CACHE = re.compile(r"/++(?:sgx|tdx)\b", re.IGNORECASE)
_RUN_TOGETHER = re.compile(r"/certification/v[0-9]++[A-Za-z]")
_SLASHES = re.compile(r"/+")
_BASE = re.compile(r"/(?:sgx|tdx)/certification/v[0-9]{1,4}")
_VERSION = re.compile(r"/(sgx|tdx)/certification/v([0-9]{1,4})/")
# Anybody chooses the path, so none of these goes back over what it has read: each takes as long as the path is.

_VERSIONS = {"sgx": ("3", "4"), "tdx": ("4",)}
_PREVIEW = "/attest/Tee/"  # of 2018; the service itself has no such path any more


async def answer(request: Request, _: Exception) -> Response:
    """Answer a path where nothing is: 404, with the fault of the URL where it shows."""
    path: str = request.scope["path"]
    fault = _fault(path)
    message = f"path: nothing is at {excerpt(path)}" + ("" if fault is None else f": {fault}")
    if _OF_THE_CACHE.match(path):
        return refusal(NOT_FOUND, message, "DJ533" if fault is None else "DJ561")
    body = Refusal(status=NOT_FOUND, code=Code.NOT_FOUND, message=f"{message} [DJ533]").body()
    return Response(json.dumps(body), NOT_FOUND, {"cache-control": "no-store", "content-type": "application/json"})


def _fault(path: str) -> str | None:
    """What is wrong with the URL that the client was given, as far as the path shows it."""
    bases = _BASE.findall(_SLASHES.sub("/", path))
    if len(bases) > len(set(bases)):
        return "this has the path of the cache twice; expected a URL without it, as this client adds it itself"
    if "//" in path:
        return "two slashes stand together; expected the URL that the client was given without a slash at its end"
    if _RUN_TOGETHER.search(path):
        return "no slash stands behind the version; expected the URL that the client was given with a slash at its end"
    if (of := _VERSION.match(path)) and of[2] not in _VERSIONS[of[1]]:
        return f"version {of[2]} of {of[1].upper()}'s collateral is not served; expected a URL with /{of[1]}/certification/v4/"
    return _of_attestation(path)


def _of_attestation(path: str) -> str | None:
    _, preview, kind = path.partition(_PREVIEW)
    if preview:
        return f"a path of the preview of 2018; expected /attest/{excerpt(kind)} with a later api-version"
    if path.endswith("/") and "/attest/" in path:
        return "expected it without the slash at its end"
    return None
