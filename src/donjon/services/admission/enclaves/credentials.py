"""How registries are asked on behalf of who makes pods: with the service's own credentials, and nowhere inside unless told so."""

from pathlib import Path

from donjon.adapters import files
from donjon.errors import Misconfigured
from donjon.images.access import RegistryAccess
from donjon.images.logins import parse_logins
from donjon.services.admission.enclaves.settings import EnclaveSettings

MAX_FILE = 1 << 20  # bytes of a file with authorities or credentials
OF_IMAGE = 120.0  # seconds that one image may take; nobody waits for it that long, but the next pod profits


def registry_access(settings: EnclaveSettings) -> RegistryAccess:
    """The access that the settings mean; raises `Misconfigured` DJ383, or DJ334, for a file that is not what it should be."""
    logins = {} if settings.config is None else parse_logins(_read(settings.config), str(settings.config))
    authorities = None if settings.authority is None else _read(settings.authority).decode("ascii", "replace")
    return RegistryAccess(
        logins=logins,
        authorities=authorities,
        plain_http=settings.plain_http,
        inside=settings.inside,
        patience=OF_IMAGE,
    )


def _read(path: Path) -> bytes:
    try:
        return files.read(path, MAX_FILE)
    except OSError as error:
        raise Misconfigured("DJ383", f"{path}: {error.strerror}, expected a file that can be read") from error
