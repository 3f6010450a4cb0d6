"""`donjon pool prepare`: a node of one's own made ready for enclaves, by a script or a role of Ansible."""

import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from donjon import __version__
from donjon.adapters.linux.host import read_host
from donjon.admission.policies.printing import manifest
from donjon.cli import options
from donjon.cli.files import content, within
from donjon.cli.terminal import say, say_finding, say_json, write
from donjon.errors import EXIT_NO, Unavailable
from donjon.findings import Finding, codes
from donjon.formats.json import Json, JsonObject
from donjon.node.facts import derive
from donjon.node.preparation import wishes as wanting
from donjon.node.preparation.outline import MAX_FACTS, HostOutline, NodeRuntime, outline, parse
from donjon.node.preparation.planning import prepare
from donjon.node.preparation.role import ROLE, SCRIPT, role
from donjon.node.preparation.script import ShellParts, script
from donjon.node.preparation.steps import NodePreparation
from donjon.node.preparation.wishes import NodeWishes
from donjon.node.readiness import assess
from donjon.node.report import report
from donjon.pki import pem

_RUNTIMES = [str(each) for each in NodeRuntime if each is not NodeRuntime.OTHER]

NEXT: Mapping[str, str] = {
    "script": "next: bring {} to the node, and run there as root: sh prepare.sh --check, then the same without --check",
    "ansible": "next: ansible-playbook -i INVENTORY {}/prepare.yml --check, then the same without --check",
}
"""What is to be done with what was written."""


@click.command("prepare", cls=options.StrictCommand)
@click.option(
    "--facts",
    "facts_file",
    metavar="FILE",
    help="What donjon doctor --output json said on the node; without, this machine is looked at.",
)
@click.option(
    "--host-root",
    envvar="DONJON_HOST_ROOT",
    default="/",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where the root of this machine is for this process.",
)
@click.option("--runtime", type=click.Choice(_RUNTIMES), help="Who starts its containers; without, whose configuration was seen.")
@click.option("--cache", metavar="URL", help="The cache that the quote provider is to ask for certificates and collateral.")
@options.AUTHORITY
@click.option("--aesm", is_flag=True, help="Install AESM and the quote provider.")
@click.option("--registration", is_flag=True, help="Install the agent that registers a machine of several sockets with Intel.")
@click.option(
    "--packages",
    metavar="URI",
    help="A source for apt that has Intel's packages: Intel's own, or a mirror. None is added without it.",
)
@click.option("--suite", default="", metavar="NAME", help="Its suite; without, that of the node's own release.")
@click.option("--fingerprint", default=wanting.INTELS_KEY, show_default=True, metavar="HEX", help="Of the key that signs it.")
@click.option(
    "--driver",
    metavar="MODULE/VERSION",
    help="Build the driver in /usr/src/MODULE-VERSION where the kernel has none, such as sgx/1.41.",
)
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["text", "json", "script", "ansible"]),
    default="text",
    show_default=True,
    help="What would be done, for people or programs; a shell script that does it; a role of Ansible, with --to.",
)
@click.option("--to", type=click.Path(path_type=Path), metavar="FOLDER", help="Write script or role into this folder.")
def prepare_(
    *,
    facts_file: str | None,
    host_root: Path,
    runtime: str | None,
    cache: str | None,
    authority: Path | None,
    aesm: bool,
    registration: bool,
    packages: str | None,
    suite: str,
    fingerprint: str,
    driver: str | None,
    form: str,
    to: Path | None,
) -> None:
    """Write down what makes a node of your own ready for enclaves; nothing on it is changed by this command.

    Exit code 0 written, 1 the machine has no SGX, 2 unreadable.
    """
    if to is not None and form in {"text", "json"}:
        raise click.UsageError("--to goes with --output script or --output ansible")
    if form == "ansible" and to is None:
        raise click.UsageError("a role is several files: name a folder with --to")
    wishes = NodeWishes(
        cache=wanting.cache_address(cache) if cache else "",
        authority="" if authority is None else _authority(authority),
        runtime=None if runtime is None else NodeRuntime(runtime),
        aesm=aesm,
        registration=registration,
        source=wanting.package_source(packages, suite, fingerprint) if packages else None,
        driver=wanting.driver(driver) if driver else None,
    )
    host = _host(facts_file, host_root)
    if codes.NO_SGX in host.codes:
        say_finding(_NO_SGX, err=form != "text")
        sys.exit(EXIT_NO)
    _tell(prepare(host, wishes), form, to)


_NO_SGX = Finding.error(
    "DJ865",
    "this machine",
    "its processor has no SGX, or the hypervisor does not show it [DJ001]",
    "nothing that is done on it makes enclaves run",
    "donjon sku list says which machines have it",
)


def _host(facts_file: str | None, root: Path) -> HostOutline:
    if facts_file is not None:
        return parse(content(facts_file, MAX_FACTS))
    facts = derive(read_host(root))
    return outline(report(facts), assess(facts).findings)


def _authority(file: Path) -> str:
    text = content(str(file), pem.MAX_CHAIN)
    with within(str(file)):
        return pem.encode(pem.parse(text, max(1, len(pem.each(text))))).decode("ascii")


def _tell(preparation: NodePreparation, form: str, to: Path | None) -> None:
    if form == "json":
        say_json(_as_json(preparation))
    elif form == "text":
        _say(preparation)
    else:
        texts = {SCRIPT: _script(preparation)} if form == "script" else _role(preparation)
        if to is None:
            write(texts[SCRIPT])
        else:
            _write(to, texts)
            say(NEXT[form].format(to))


def _script(preparation: NodePreparation) -> str:
    folder = files("donjon.node.preparation")
    begin, end = ((folder / name).read_text(encoding="utf-8") for name in ("begin.sh", "end.sh"))
    return script(preparation, ShellParts(begin=begin, end=end), __version__)


def _yaml(document: Json) -> str:
    """As ansible-lint asks for it: entries of a list stand further in than its name, those of the file's own list do not."""
    text = manifest((document,), inset=True)
    return re.sub(r"^  ", "", text, flags=re.MULTILINE) if isinstance(document, list) else text


def _role(preparation: NodePreparation) -> dict[str, str]:
    texts = {place: _yaml(document) for place, document in role(preparation).items()}
    return {**texts, f"roles/{ROLE}/files/{SCRIPT}": _script(preparation)}


def _write(folder: Path, texts: dict[str, str]) -> None:
    for place, text in texts.items():
        path = folder / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755 if place.endswith(SCRIPT) else 0o644)
        except OSError as error:
            raise Unavailable("DJ864", f"{path}: {error.strerror}; expected a folder that can be written to") from error
        say(f"wrote {path}")


def _say(preparation: NodePreparation) -> None:
    say("what a script or role does, each where it is not so already:")
    for step in preparation.steps:
        say(f"  {step.name}: {step.what}{_codes(' (ends {})', step.ends)}")
    say("what is left to a person:")
    for look in preparation.looks:
        say(f"  {look.what}{_codes(' [{}]', look.codes)}")
        say(f"    {look.do}")
    say("nothing was changed; --output script or --output ansible --to FOLDER writes it down")


def _codes(form: str, of: tuple[str, ...]) -> str:
    return form.format(", ".join(of)) if of else ""


def _as_json(preparation: NodePreparation) -> JsonObject:
    return {
        "steps": [{"name": each.name, "what": each.what, "why": each.why, "ends": list(each.ends)} for each in preparation.steps],
        "looks": [{"what": each.what, "do": each.do, "codes": list(each.codes)} for each in preparation.looks],
    }
