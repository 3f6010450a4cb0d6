"""A key that signs enclaves, in a Managed HSM of Azure: it is made there with the exponent 3, signs there, and never leaves it.

Key Vault's vaults make keys with the exponent 65537 alone. Source: azure-keyvault-keys, `KeyClient.create_rsa_key`
(`public_exponent` "applies only to RSA keys created in a Managed HSM").
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import HttpTransport
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient, KeyOperation, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm

from donjon.adapters.azure.transport import BoundedTransport
from donjon.enclave.signature import check_key
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.formats.words import recite
from donjon.sgx.sigstruct import EXPONENT, MODULUS_SIZE

FORM = "https://NAME.managedhsm.azure.net/keys/KEY, or with /VERSION behind it"
STEP = 30.0  # seconds without a word of an answer
TRIES = 4
MAX_WORDS = 500  # of an error of Azure's
_MANAGED = ".managedhsm."
_PARTS = (2, 3)  # of a path: keys, the name, a version

logging.getLogger("azure").addHandler(logging.NullHandler())  # Its warnings are in our errors: not on the terminal twice.


@dataclass(frozen=True, slots=True)
class HsmSigner:
    """A key in a Managed HSM, and the modulus of its public half."""

    modulus: int
    _name: str
    _client: CryptographyClient

    def sign(self, message: bytes) -> bytes:
        """The signature, the highest byte first; raises `Unavailable` DJ347. The service is given the digest alone (RS256)."""
        with _one_error(self._name):
            return bytes(self._client.sign(SignatureAlgorithm.rs256, hashlib.sha256(message).digest()).signature)


class ManagedHsm:
    """Asks for one key as who is signed in here."""

    def __init__(
        self,
        key: str,
        pause: Callable[[float], None],
        credential: TokenCredential | None = None,
        transport: HttpTransport[Any, Any] | None = None,
    ) -> None:
        """The key by its address; without a credential, whatever `azure-identity` finds. Raises `Misconfigured` DJ346."""
        self._key, self._endpoint, self._name, self._version = key, *_parse(key)
        self._credential = credential or DefaultAzureCredential(exclude_interactive_browser_credential=True)
        self._options = {
            "transport": transport or BoundedTransport(self._endpoint, pause),
            "retry_total": TRIES,
            "retry_status": TRIES,
            "connection_timeout": STEP,
            "read_timeout": STEP,
        }
        self._client = KeyClient(self._endpoint, self._credential, **self._options)

    def open(self) -> HsmSigner:
        """The key; raises `Misconfigured` DJ340, and `Unavailable` DJ347."""
        with _one_error(self._key):
            return self._signer(self._client.get_key(self._name, self._version or None))

    def make(self) -> HsmSigner:
        """A new key; raises `Misconfigured` DJ340 and DJ348, and `Unavailable` DJ347."""
        if _MANAGED not in self._endpoint:
            raise Misconfigured(
                "DJ340", f"key {self._key}: Key Vault's vaults make no key with the exponent 3, and a Managed HSM does: {FORM}"
            )
        with _one_error(self._key):
            if self._is_there():
                raise Misconfigured("DJ348", f"key {self._key}: there is one of this name; it is left as it is")
            return self._signer(
                self._client.create_rsa_key(
                    self._name,
                    size=8 * MODULUS_SIZE,
                    public_exponent=EXPONENT,
                    hardware_protected=True,
                    key_operations=[KeyOperation.sign, KeyOperation.verify],
                )
            )

    def _is_there(self) -> bool:
        try:
            self._client.get_key(self._name)
        except ResourceNotFoundError:
            return False
        return True

    def _signer(self, key: KeyVaultKey) -> HsmSigner:
        public: Any = key.key  # Its members are set by name, where the library's types do not see them.
        if not isinstance(public.n, bytes) or not isinstance(public.e, bytes):
            raise Misconfigured("DJ340", f"key {self._key}: no RSA key, and EINIT takes no other")
        modulus = check_key(int.from_bytes(public.n), int.from_bytes(public.e), f"key {self._key}")
        return HsmSigner(modulus, self._key, CryptographyClient(key, self._credential, **self._options))


def _parse(key: str) -> tuple[str, str, str]:
    """Where the key is, its name, and its version or nothing."""
    try:
        parts = urlsplit(key)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise Misconfigured("DJ346", f"key {key}: expected {FORM}") from error
    path = parts.path.strip("/").split("/")
    if parts.scheme != "https" or not parts.hostname or len(path) not in _PARTS or path[0] != "keys" or parts.query:
        raise Misconfigured("DJ346", f"key {key}: expected {FORM}")
    return f"https://{parts.hostname}{port}", path[1], path[2] if len(path) == max(_PARTS) else ""


@contextmanager
def _one_error(key: str) -> Iterator[None]:
    try:
        yield
    except DonjonError as error:
        if isinstance(error, Misconfigured):
            raise
        raise Unavailable("DJ347", f"key {key}: {error.message}") from error
    except ClientAuthenticationError as error:
        raise Unavailable("DJ347", f"key {key}: nobody is signed in to Azure who may (az login): {_words(error)}") from error
    except HttpResponseError as error:
        raise Unavailable("DJ347", f"key {key}: Azure says {error.status_code}: {_words(error)}") from error
    except (AzureError, ValueError, TypeError, KeyError, AttributeError) as error:  # The last of answers that are none.
        raise Unavailable("DJ347", f"key {key}: Azure was not reached, or its answer is none: {_words(error)}") from error


def _words(error: Exception) -> str:
    return recite(str(getattr(error, "message", None) or error))[:MAX_WORDS]


def open_hsm_key(key: str, pause: Callable[[float], None]) -> HsmSigner:
    """The key of that address; raises as `ManagedHsm` does."""
    return ManagedHsm(key, pause).open()


def make_hsm_key(key: str, pause: Callable[[float], None]) -> HsmSigner:
    """A new key of that address; raises as `ManagedHsm` does."""
    return ManagedHsm(key, pause).make()
