"""The command line: parse arguments, call one function, print. A command's module is loaded only when it is called."""

import sys
import traceback
from importlib import import_module

import click

from donjon import __version__
from donjon.adapters.interpreter import pause_collection
from donjon.cli.terminal import say
from donjon.errors import EXIT_CODES, EXIT_COULD_NOT_LOOK, DonjonError, Misconfigured

COMMANDS: dict[str, tuple[str, str]] = {
    "admission": ("donjon.cli.admission.command:admission", "The rules for pods that ask for SGX, as Kubernetes objects."),
    "attestation": ("donjon.cli.attestation.command:attestation", "The attestation service: tokens, and collateral (a PCCS)."),
    "audit": ("donjon.cli.audit.command:audit", "What the attestation service decided and changed: show, verify, policy."),
    "check": ("donjon.cli.check:check", "Check offline what admission would do to the pods in manifests."),
    "collateral": ("donjon.cli.collateral.command:collateral", "What Intel states about platforms: fetch, show, export, import."),
    "doctor": ("donjon.cli.doctor:doctor", "Check whether this machine can run enclaves, and what to do if not."),
    "enclave": ("donjon.cli.enclave.command:enclave", "Signed enclaves of every SDK: what they are, whether they hold."),
    "epc": ("donjon.cli.epc.command:epc", "Enclave memory: who holds how much of it, as the nodes' meters count."),
    "explain": ("donjon.cli.explain:explain", "Print what a code such as DJ104 means and what to do about it."),
    "metrics": ("donjon.cli.metrics:metrics", "Kubernetes' metrics APIs with EPC in them, for its own autoscaler."),
    "node": ("donjon.cli.node:node", "The node agent, and what it leaves behind."),
    "plan": (
        "donjon.cli.plan.command:plan",
        "Where pods would go, who stays Pending and why, what to buy, what would move.",
    ),
    "policy": ("donjon.cli.policy.command:policy", "Attestation policies: check, explain, test; show, set, sign a service's."),
    "pool": ("donjon.cli.pool.command:pool", "Pools of machines with SGX: planned, judged, written down for a tool."),
    "quote": ("donjon.cli.quote.command:quote", "Read and verify quotes of SGX enclaves and TDX trust domains."),
    "sku": ("donjon.cli.sku.command:sku", "Machines with SGX: which there are, and which and how many to take."),
    "status": ("donjon.cli.status:status", "Say whether Donjon works in the cluster, what is wrong first, and what to do."),
    "token": ("donjon.cli.token.command:token", "Tokens of an attestation service: show one, verify one as a relying party."),
    "wrap": ("donjon.cli.wrap.command:wrap", "Bring an existing image into an enclave, with Gramine; no Docker needed."),
    "why": ("donjon.cli.why:why", "Explain why a pod does not run, node by node, and what to do next."),
}
"""Every command, where it is, and its line of help: said here so that the help needs to load none of them."""


LONGEST_NAME = 64  # characters of what was no command


class LazyGroup(click.Group):
    """A group whose commands are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, for the help."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, loaded now; `None` for a name we do not have."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        with pause_collection():  # What loading makes lives as long as the program: to look through it takes a tenth of the time.
            command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words call; raises `click.UsageError` with the one that may be meant."""
        from donjon.formats.words import nearest  # noqa: PLC0415 - only where it is needed: help is to come at once.

        near = nearest(args[0][:LONGEST_NAME], COMMANDS)
        if args[0] not in COMMANDS and near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(COMMANDS.items())])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="donjon")
def donjon() -> None:
    """Intel SGX for any Kubernetes cluster.

    Exit codes of every command: 0 yes, 1 no, 2 malformed input or usage, 3 could not look.
    """


def main() -> None:
    """Run the command line; an error of ours becomes one line and its exit code."""
    try:
        donjon(prog_name="donjon")
    except DonjonError as error:
        _say_error(error)
        sys.exit(next(code for family, code in EXIT_CODES.items() if isinstance(error, family)))
    except Exception:  # noqa: BLE001 - a mistake of ours is no answer, so it must not end like a no.
        traceback.print_exc()
        say("donjon: this is a mistake in Donjon; please report it with the lines above", err=True)
        sys.exit(EXIT_COULD_NOT_LOOK)


def _say_error(error: DonjonError) -> None:
    """One line, or where several settings are wrong, one each."""
    faults = error.faults if isinstance(error, Misconfigured) else ()
    if len(faults) < 2:  # noqa: PLR2004 - several.
        say(f"donjon: {error} (donjon explain {error.code})", err=True)
        return
    say(f"donjon: {len(faults)} settings are wrong [{error.code}] (donjon explain {error.code})", err=True)
    for fault in faults:
        say(f"  {fault}", err=True)
