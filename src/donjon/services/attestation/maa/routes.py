"""The routes of Microsoft Azure Attestation: each instance's under the path of its issuer, whatever Host says.

Source: Azure Attestation REST API, data plane; facts of its answers as recorded. Bodies are read by the room `maa`, strictly; an
answer that is none has the status, the code and the form that Microsoft's clients read.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from donjon import __version__
from donjon.access.roles import Caller, Role
from donjon.adapters import http
from donjon.adapters.http.crowd import site
from donjon.adapters.http.fairlock import FairLock
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.journal import Journal
from donjon.attestation import token
from donjon.errors import DonjonError, Malformed
from donjon.formats.json import JsonObject
from donjon.formats.words import excerpt, one_of
from donjon.maa import baselines, certificates, metadata, policies, refusals, requests, versions
from donjon.maa.refusals import Code, Refusal
from donjon.maa.requests import AttestRequest, Change
from donjon.maa.versions import ATTESTED, ApiVersion, AttestationType
from donjon.runtime.callers import CallerRefused, Doorkeeper
from donjon.services.attestation import nowhere
from donjon.services.attestation.identity import identity, with_request_names
from donjon.services.attestation.judging import Clocks, Judge
from donjon.services.attestation.maa import openapi
from donjon.services.attestation.maa.attester import Attester
from donjon.services.attestation.maa.audit_events import Asker
from donjon.services.attestation.maa.changes import Changes
from donjon.services.attestation.maa.instances import Instance
from donjon.services.attestation.pccs.quote_collateral import ReadyCollateral
from donjon.sgx.platform import Tee

LOG = logging.getLogger(__name__)

JSON, TEXT = "application/json", "text/plain"
SERVICE_VERSION = "x-ms-maa-service-version"
LIGHT_REQUEST = 16 << 10  # bytes of a request that is read at once: a quote, and some KiB beside it, which take a few ms at most

_OK, _NOT_FOUND, _NOT_ALLOWED, _MEDIA_TYPE = 200, 404, 405, 415
_CODES = {
    refusals.UNAUTHORIZED: Code.UNAUTHORIZED,
    refusals.FORBIDDEN: Code.FORBIDDEN,
    refusals.TOO_MANY: Code.TOO_MANY,
    _NOT_FOUND: Code.NOT_FOUND,
    _NOT_ALLOWED: Code.NOT_ALLOWED,
    _MEDIA_TYPE: Code.MEDIA_TYPE,
}
_SLASH = b"%2f"
_STANDARD = {SERVICE_VERSION: __version__, "cache-control": "no-store"}

Handler = Callable[[Request, Instance, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of every instance; in `path`, the name of an attestation type goes behind the last slash."""

    method: str
    path: str
    handler: Handler
    body: str = ""  # the media type that it takes


class Maa:
    """The routes of all instances, and what answers them."""

    def __init__(  # noqa: PLR0917 - one of each kind.
        self,
        instances: Iterable[Instance],
        doorkeeper: Doorkeeper,
        collateral: ReadyCollateral,
        journal: Journal,
        clocks: Clocks,
        metrics: AttestationMetrics,
    ) -> None:
        """Each instance is served at the path of the name by which it speaks."""
        self._doorkeeper, self._collateral, self._metrics, self._now = doorkeeper, collateral, metrics, clocks.now
        self._turns = FairLock()
        self._attester = Attester(Judge(collateral, clocks, metrics, self._turns), journal, clocks.now, metrics)
        self._changes = Changes(journal, clocks.now)
        self._instances = {urlsplit(each.issuer.url).path: each for each in instances}
        routes: dict[str, dict[str, Route]] = {}
        for route in self._routes():
            routes.setdefault(route.path, {})[route.method] = route
        self._places = {prefix + path: (each, path) for prefix, each in self._instances.items() for path in routes}
        self._by_path: Mapping[str, Mapping[str, Route]] = routes

    def before(self, others: Sequence[BaseRoute]) -> ASGIApp:
        """These routes, and others for paths of no instance; an encoded slash is none of a path's (RFC 3986, 2.2)."""
        otherwise = Starlette(routes=others, exception_handlers={_NOT_FOUND: nowhere.answer})

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            path: str = scope["path"]
            place, name = path, ""
            if place not in self._places:
                place, slash, name = path.rpartition("/")
                place += slash
                _, colon, action = name.partition(":")
                if colon:
                    place, name = f"{place}:{action}", name.removesuffix(f":{action}")
            if (target := self._places.get(place)) is None or _SLASH in scope["raw_path"].lower():
                await otherwise(scope, receive, send)
                return
            response = await self._answer_request(Request(scope, receive), *target, name)
            await response(scope, receive, send)

        return with_request_names(application)

    def _routes(self) -> tuple[Route, ...]:
        return (
            Route(method="POST", path="/attest/", handler=self._attest, body=JSON),
            Route(method="GET", path="/certs", handler=self._certs),
            Route(method="GET", path="/.well-known/openid-configuration", handler=self._metadata),
            Route(method="GET", path="/policies/", handler=self._policy),
            Route(method="PUT", path="/policies/", handler=self._set_policy, body=TEXT),
            Route(method="POST", path="/policies/:reset", handler=self._reset_policy, body=TEXT),
            Route(method="GET", path="/certificates", handler=self._certificates),
            Route(method="POST", path="/certificates:add", handler=self._change_handler(Change.ADD), body=JSON),
            Route(method="POST", path="/certificates:remove", handler=self._change_handler(Change.REMOVE), body=JSON),
            Route(method="GET", path="/tcbbaselines/", handler=self._baselines),
            Route(method="GET", path="/openapi.json", handler=self._description),
        )

    async def _answer_request(self, request: Request, instance: Instance, path: str, name: str) -> Response:
        try:
            route = _route_for(request, self._by_path[path])
            response = await route.handler(request, instance, name)
        except CallerRefused as error:
            refusal = Refusal(status=error.status, code=_CODES[error.status], message=str(error))
            response = _refusal_response(refusal, error.headers)
        except DonjonError as error:
            response = _refusal_response(refusals.of_error(error))
        except ClientDisconnect:
            response = _refusal_response(refusals.of_status(refusals.BAD_REQUEST))  # Which nobody reads.
        except Exception as error:
            fields = {"request": identity(request.scope)}
            LOG.exception("a mistake in Donjon; please report it", exc_info=error, extra={"fields": fields})
            message = "service: it could not answer; its log says more [DJ517]"
            response = _refusal_response(Refusal(status=refusals.INTERNAL, code=Code.INTERNAL, message=message))
        self._metrics.count_request(path, response.status_code)
        return response

    async def _attest(self, request: Request, instance: Instance, type_name: str) -> Response:
        kind = versions.attestation_type(type_name, _version(request))
        caller = await self._doorkeeper.require(request, instance.name, Role.ATTEST)
        attest_request = await self._read(request, kind)
        if attest_request.draft is not None:
            caller = await self._doorkeeper.require(request, instance.name, Role.DRAFT)
        outcome = await self._attester.attest(instance, kind, attest_request, _asker(request, caller))
        return _token(outcome.answer) if isinstance(outcome.answer, str) else _refusal_response(outcome.answer)

    async def _read(self, request: Request, kind: AttestationType) -> AttestRequest:
        """The request; a large one may take long to read, so those are read one at a time, the addresses in turn."""
        body = await request.body()
        if len(body) <= LIGHT_REQUEST:
            return requests.attest(body, kind)
        async with self._turns.turn(_site(request)):
            return requests.attest(body, kind)

    async def _policy(self, request: Request, instance: Instance, type_name: str) -> Response:
        kind = versions.attestation_type(type_name, _version(request))
        await self._doorkeeper.require(request, instance.name, Role.READ)
        state = await instance.state(reread=True)
        return self._answer_signed(instance, policies.claims_of(await state.policy(kind)))

    async def _set_policy(self, request: Request, instance: Instance, type_name: str) -> Response:
        kind = versions.attestation_type(type_name, _version(request))
        caller = await self._doorkeeper.require(request, instance.name, Role.POLICY)
        text = requests.policy_token(await request.body())
        return self._answer_signed(instance, await self._changes.set_policy(instance, kind, text, _asker(request, caller)))

    async def _reset_policy(self, request: Request, instance: Instance, type_name: str) -> Response:
        kind = versions.attestation_type(type_name, _version(request))
        caller = await self._doorkeeper.require(request, instance.name, Role.POLICY)
        text = requests.policy_token(await request.body())
        return self._answer_signed(instance, await self._changes.reset_policy(instance, kind, text, _asker(request, caller)))

    async def _certificates(self, request: Request, instance: Instance, _: str) -> Response:
        _version(request)
        await self._doorkeeper.require(request, instance.name, Role.READ)
        state = await instance.state(reread=True)
        return self._answer_signed(instance, certificates.claims_of(state.trust))

    def _change_handler(self, change: Change) -> Handler:
        async def answer(request: Request, instance: Instance, _: str) -> Response:
            version = _version(request)
            caller = await self._doorkeeper.require(request, instance.name, Role.POLICY)
            text = requests.certificate_token(await request.body(), version, change)
            return self._answer_signed(instance, await self._changes.certificate(instance, change, text, _asker(request, caller)))

        return answer

    async def _certs(self, _: Request, instance: Instance, __: str) -> Response:
        return _json(token.key_set(*instance.issuer.published()))

    async def _metadata(self, _: Request, instance: Instance, __: str) -> Response:
        published = instance.issuer.published()
        algorithms = [each.signer.algorithm for each in published]
        return _json(metadata.openid_configuration(instance.issuer.authority(), algorithms))

    async def _baselines(self, request: Request, instance: Instance, type_name: str) -> Response:
        version = _version(request)
        if version not in versions.TCB_BASELINES:
            supported = ", ".join(sorted(versions.TCB_BASELINES))
            raise CallerRefused(_NOT_FOUND, "DJ533", f"tcbbaselines: not in {version}, expected {supported}")
        kind = versions.attestation_type(type_name, version)
        await self._doorkeeper.require(request, instance.name, Role.READ)
        if kind not in ATTESTED:
            raise Malformed(
                "DJ452", f"attestation type: {kind} is not attested here, expected {one_of(tuple(sorted(ATTESTED)), kind)}"
            )
        criteria = await (await instance.state()).criteria(kind)
        tee = Tee.TDX if kind is AttestationType.TDX_VM else Tee.SGX
        return _json(baselines.describe(self._collateral.tcb_infos(tee), criteria.gate.min_evaluation))

    async def _description(self, _: Request, instance: Instance, __: str) -> Response:
        return _description_response(instance.issuer.url)

    def _answer_signed(self, instance: Instance, claims: JsonObject) -> Response:
        """A signed answer of the instance about itself."""
        return _token(token.answer(claims, instance.issuer.authority(), self._now()))


def server_refusal(status: int, address: str) -> http.Response:
    """What the server answers by itself, in the form of these routes."""
    del address
    body = json.dumps(refusals.of_status(status).body()).encode("ascii")
    return http.Response(status=status, body=body, content_type=JSON)


def _route_for(request: Request, routes: Mapping[str, Route]) -> Route:
    """The route of that method, if it takes what is sent."""
    route = routes.get(request.method)
    if route is None:
        methods = ", ".join(sorted(routes))
        raise CallerRefused(_NOT_ALLOWED, "DJ533", f"{request.method[:10]}: expected {methods}", {"allow": methods})
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if route.body and media_type != route.body:
        raise CallerRefused(_MEDIA_TYPE, "DJ533", f"content-type: {excerpt(media_type)}, expected {route.body}")
    return route


def _asker(request: Request, caller: Caller) -> Asker:
    return Asker(caller=caller.name, request=identity(request.scope), site=_site(request))


def _site(request: Request) -> str:
    return site("" if request.client is None else request.client.host)


def _version(request: Request) -> ApiVersion:
    return _parse_version(request.scope["query_string"])


@lru_cache(maxsize=64)
def _description_response(issuer: str) -> Response:
    """Made once for each instance: a millisecond, for whoever asks."""
    return _json(openapi.description(issuer))


@lru_cache(maxsize=64)
def _parse_version(query: bytes) -> ApiVersion:
    return versions.parse(QueryParams(query).get("api-version"))


def _token(text: str) -> Response:
    return _json({"token": text})


def _refusal_response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    return _json(refusal.body(), refusal.status, headers=headers)


def _json(content: JsonObject, status: int = _OK, kind: str = JSON, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(content, separators=(",", ":")).encode("ascii")
    return Response(body, status, {**_STANDARD, **(headers or {}), "content-type": kind})
