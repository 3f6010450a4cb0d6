"""Microsoft's client, azure-security-attestation 1.0.0, in both its forms: what either answers is waited for if it must be."""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.credentials import AccessToken
from azure.security import attestation
from azure.security.attestation import aio
from tests.services.attesting import Service

FORMS = ("sync", "async")


TOKEN = AccessToken("nobody", 4102444800)


class Credential:
    """Who calls, as the one form asks for it."""

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return TOKEN


class AsyncCredential:
    """As the other does."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        return TOKEN


@dataclass
class Clients:
    """The client that attests, and the one that administers."""

    attesting: Any
    administering: Any

    async def attest(self, name: str, *args: object, **more: object) -> Any:
        return await settled(getattr(self.attesting, name)(*args, **more))

    async def administer(self, name: str, *args: object, **more: object) -> Any:
        return await settled(getattr(self.administering, name)(*args, **more))


async def settled(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


@asynccontextmanager
async def clients(service: Service, form: str, instance: str, **more: object) -> AsyncIterator[Clients]:
    made, credential = (attestation, Credential()) if form == "sync" else (aio, AsyncCredential())
    where = f"{service.address}/{instance}"
    both = Clients(
        made.AttestationClient(where, credential, connection_verify=service.authority),
        made.AttestationAdministrationClient(where, credential, connection_verify=service.authority, **more),
    )
    try:
        yield both
    finally:
        await settled(both.attesting.close())
        await settled(both.administering.close())
