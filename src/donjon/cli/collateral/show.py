"""What `donjon collateral fetch` and `show` do: collateral taken from a service, and what is in it told."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from donjon.adapters import clock
from donjon.attestation import evidence
from donjon.attestation.quote import parse
from donjon.cli.files import content
from donjon.cli.quote import sources
from donjon.cli.quote.work import trust_root
from donjon.cli.terminal import say, say_json
from donjon.collateral.plan import Channel
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.errors import EXIT_NO, EXIT_YES, Misconfigured
from donjon.formats.json import Json, JsonObject

SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralItem:
    """One document, list or certificate, and until when it holds."""

    name: str
    of: str
    begins: datetime
    ends: datetime
    evaluation_number: int | None = None

    def validity(self, moment: datetime) -> str:
        """Whether it holds at the moment, and for how long yet."""
        if moment < self.begins:
            return "not yet"
        if moment > self.ends:
            return "ended"
        return "ends soon" if moment > self.ends - SOON else "holds"


def fetch(files: tuple[str, ...], target: Path, pccs: str | None, update: str, root: Path | None) -> int:
    """Fetch the collateral of these quotes' platform, verify it, and write it to the target; the exit code."""
    quotes = [parse(evidence.unwrap(content(file, evidence.MAX_EVIDENCE))) for file in files]
    source = sources.source(None, pccs, pcs=pccs is None, channel=Channel(update))
    collaterals = [source(each) for each in quotes]
    if len({each.tcb_info for each in collaterals}) > 1 or len({each.pck_certificate_chain for each in collaterals}) > 1:
        raise Misconfigured("DJ283", "collateral: the quotes are of several platforms: fetch the collateral of each on its own")
    trusted = trust(collaterals[0], trust_root(root))
    sources.write(collaterals[0], target)
    say(f"{target}: {_about(trusted)}, first nextUpdate {trusted.fresh_until:%FT%TZ}")
    return EXIT_YES


def show(path: Path, at: datetime | None, root: Path | None, form: str) -> int:
    """Print each document, list and certificate there, and until when it holds; the exit code."""
    trusted, moment = trust(sources.read(path), trust_root(root)), at or clock.moment()
    items = _items(trusted)
    if form == "json":
        entries: list[Json] = [_document(item, moment) for item in items]
        info = trusted.tcb_info
        platform: JsonObject = {
            "tee": str(info.tee),
            "fmspc": info.fmspc.hex(),
            "pce_id": info.pce_id.hex(),
            "ca": str(trusted.pck_ca.role),
        }
        say_json({"platform": platform, "parts": entries})
    else:
        say(f"{path}: {_about(trusted)}")
        for item in items:
            say(_line(item, moment))
    return EXIT_YES if all(item.validity(moment) in {"holds", "ends soon"} for item in items) else EXIT_NO


def _about(trusted: TrustedCollateral) -> str:
    info = trusted.tcb_info
    return f"{info.tee}, FMSPC {info.fmspc.hex()}, PCEID {info.pce_id.hex()}, {trusted.pck_ca.role}"


def _items(trusted: TrustedCollateral) -> list[CollateralItem]:
    info, identity = trusted.tcb_info, trusted.qe_identity
    numbers = {"tcb_info": info.evaluation_number, "qe_identity": identity.evaluation_number}
    of = {
        "tcb_info": f"version {info.version}, {len(info.levels)} levels",
        "qe_identity": f"{len(identity.levels)} levels",
        "pck_crl": f"{trusted.pck_crl.issuer}, {len(trusted.pck_crl.serials)} revoked",
        "root_ca_crl": f"{trusted.root_ca_crl.issuer}, {len(trusted.root_ca_crl.serials)} revoked",
    }
    begins, ends = trusted.issue_dates(), trusted.next_updates()
    documents = [
        CollateralItem(name=name, of=of[name], begins=begins[name], ends=ends[name], evaluation_number=numbers.get(name))
        for name in of
    ]
    signers = {each.der: each for each in (trusted.tcb_info_signer, trusted.qe_identity_signer, trusted.pck_ca)}.values()
    return documents + [
        CollateralItem(name="certificate", of=each.role, begins=each.window.begins, ends=each.window.ends) for each in signers
    ]


def _document(item: CollateralItem, moment: datetime) -> JsonObject:
    return {
        "name": item.name,
        "of": item.of,
        "from": f"{item.begins:%FT%TZ}",
        "until": f"{item.ends:%FT%TZ}",
        "evaluation_number": item.evaluation_number,
        "standing": item.validity(moment),
    }


def _line(item: CollateralItem, moment: datetime) -> str:
    number = "" if item.evaluation_number is None else f", evaluation {item.evaluation_number}"
    return f"  {item.validity(moment):9} {item.name:11} {item.begins:%FT%TZ} to {item.ends:%FT%TZ}  {item.of}{number}"
