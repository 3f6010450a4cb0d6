"""`donjon attestation keys`: the keys that sign tokens, made and looked at, wherever they are kept."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

import click

from donjon.adapters import clock
from donjon.adapters.keys import places, rings, stores
from donjon.adapters.keys.places import Place, SecretPlace
from donjon.adapters.keys.rings import Store
from donjon.adapters.keys.secret import SecretAccess
from donjon.adapters.kubeapi.client import KubeApi, in_cluster
from donjon.adapters.kubeapi.secrets import ApiSecret
from donjon.attestation.token import KEY_RETENTION, check_issuer
from donjon.cli.options import FORM, read_duration
from donjon.cli.terminal import say, say_finding, say_json
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.formats.json import Json, JsonObject
from donjon.signing import ring
from donjon.signing.ring import DatedKey, Order
from donjon.signing.signer import Algorithm

LIFETIME = "730d"


@click.group()
def keys() -> None:
    """The keys that sign tokens.

    PLACE is where they are kept, as an instance's settings name it: a folder, kubernetes:NAMESPACE/SECRET, or
    pkcs11:token=TOKEN;object=RING?module-path=/PATH/MODULE.so&pin-source=/PATH/PIN.
    """


def _place(_context: click.Context, _parameter: click.Parameter, text: str) -> Place:
    try:
        return places.parse(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected {error}") from error


def issuer_url(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """The issuer that an option names, `None` without it."""
    try:
        if text is not None:
            check_issuer(text)
    except DonjonError as error:
        raise click.BadParameter(error.message) from error
    return text


def _duration(_context: click.Context, _parameter: click.Parameter, text: str) -> timedelta:
    return read_duration(text)


PLACE = click.argument("place", callback=_place)
KUBECONFIG = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Kubeconfig for a Secret; without it a pod's own account, else KUBECONFIG.",
)


@keys.command(short_help="Make the first key, or the next one.")
@PLACE
@click.option("--issuer", required=True, callback=issuer_url, help="The issuer's URL, for the certificate.")
@click.option("--algorithm", type=click.Choice([*Algorithm]), default=Algorithm.RS256, show_default=True, help="How it signs.")
@click.option(
    "--ahead",
    default="24h",
    show_default=True,
    callback=_duration,
    help="How long the next key is published before it signs; 0s: sign at once.",
)
@click.option(
    "--lifetime", default=LIFETIME, show_default=True, callback=_duration, help="How long the certificate is good from then on."
)
@click.option("--keep", is_flag=True, help="Delete no key: for those that sign the heads of the audit.")
@KUBECONFIG
def new(
    *, place: Place, issuer: str, algorithm: Algorithm, ahead: timedelta, lifetime: timedelta, keep: bool, kubeconfig: Path | None
) -> None:
    """Make the first key, or the next one, and delete those whose tokens have all ended."""
    if lifetime <= KEY_RETENTION:
        raise click.BadParameter(f"{lifetime}: expected more than {KEY_RETENTION}, the life of a token")

    async def make(store: Store) -> None:
        moment = clock.moment().replace(microsecond=0)
        ring_keys = await store.read_all()
        begins = ring.next_start(ring_keys, moment, ahead)
        order = Order(algorithm=algorithm, issuer=issuer, begins=begins, ends=begins + lifetime)
        expired = () if keep else ring.unneeded_keys(ring_keys, moment, KEY_RETENTION)
        rings.check_number(len(ring_keys) - len(expired) + 1, str(store))
        for each in expired:
            await store.drop(each.name)
            say(f"deleted {each.name}: all its tokens have ended")
        new_key = await store.make(order)
        when = "signs at once" if new_key.begins <= moment else f"is published now and signs from {new_key.begins:%FT%TZ}"
        say(f"made {new_key.name} in {store}: {algorithm}, {when}, until {new_key.ends:%FT%TZ}")

    _with_store(place, kubeconfig, make)


@keys.command("list")
@PLACE
@FORM
@KUBECONFIG
def list_(*, place: Place, form: str, kubeconfig: Path | None) -> None:
    """Show which key signs, which is next, and which are still published.

    Exit code 3 where none signs.
    """
    if isinstance(place, Path) and not place.is_dir():
        raise Unavailable(
            "DJ542", f"signing keys: {place}: no such folder; make it with its first key: donjon attestation keys new"
        )

    async def show(store: Store) -> None:
        moment, ring_keys = clock.moment(), sorted(await store.read_all(), key=lambda each: each.begins)
        if form == "json":
            entries: list[Json] = [_as_json(each, ring_keys, moment) for each in ring_keys]
            say_json({"keys": entries})
        else:
            for each in ring_keys:
                entry = _as_json(each, ring_keys, moment)
                window = f"{entry['begins']} to {entry['ends']}"
                say(f"{each.name}  {entry['algorithm']}  {entry['state']}  {window}  kid {entry['kid']}")
        ring.current_key(ring_keys, moment)
        if (finding := ring.appraise(ring_keys, moment, str(store))) is not None:
            say_finding(finding, err=True)

    _with_store(place, kubeconfig, show)


def _as_json(key: DatedKey, ring_keys: list[DatedKey], moment: datetime) -> JsonObject:
    return {
        "name": key.name,
        "kid": key.signer.kid,
        "algorithm": str(key.signer.algorithm),
        "state": _state(key, ring_keys, moment),
        "begins": f"{key.begins:%FT%TZ}",
        "ends": f"{key.ends:%FT%TZ}",
    }


def _state(key: DatedKey, ring_keys: list[DatedKey], moment: datetime) -> str:
    if key.begins > moment:
        return "next"
    if key in ring.unneeded_keys(ring_keys, moment, KEY_RETENTION):
        return "ended"
    active = [each for each in ring_keys if each.begins <= moment]
    return "signs" if key is active[-1] and key.ends > moment else "published"


def _with_store(place: Place, kubeconfig: Path | None, use: Callable[[Store], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            await use(stores.store(place, lambda secret: _open_secret(secret, kubeconfig, stack)))

    asyncio.run(run())


def _open_secret(place: SecretPlace, kubeconfig: Path | None, stack: AsyncExitStack) -> SecretAccess:
    """By the account of the pod in which this runs, else as the user of a kubeconfig."""
    if kubeconfig is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        api = KubeApi(in_cluster(os.environ))
        stack.push_async_callback(api.close)
        return ApiSecret(api, place.path)
    try:
        from donjon.adapters.cluster.client import open_cluster  # noqa: PLC0415 - an extra, for Secrets alone.
        from donjon.adapters.cluster.secrets import UserSecret  # noqa: PLC0415 - the same.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"keys in a Secret need {error.name}: install the extra donjon[cluster]") from error
    return UserSecret(open_cluster(os.environ, kubeconfig=kubeconfig, context=None), place.namespace, place.name)
