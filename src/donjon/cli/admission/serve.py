"""`donjon admission serve`: the webhook, for API servers that cannot wire pods themselves."""

from datetime import timedelta
from pathlib import Path

import click

from donjon.adapters.logs import log_to_stderr
from donjon.admission.settings import Settings
from donjon.cli.admission.choices import choices
from donjon.cli.options import read_duration
from donjon.cli.serving import LOG_LEVEL, read_address
from donjon.errors import Misconfigured

_SHORTEST, _LONGEST = timedelta(seconds=30), timedelta(days=825)


def _duration(_: click.Context, __: click.Parameter, text: str) -> timedelta:
    duration = read_duration(text)
    if not _SHORTEST <= duration <= _LONGEST:
        raise click.BadParameter(f"{text}: expected 30s to 825d")
    return duration


@click.command()
@click.option("--namespace", envvar="DONJON_NAMESPACE", default="donjon", show_default=True, help="Our namespace.")
@click.option("--service", default="donjon-webhook", show_default=True, help="The Service by which the API server calls.")
@click.option("--name", "names", multiple=True, help="A further host name or address by which it calls.")
@click.option(
    "--secret",
    default="donjon-webhook-tls",
    show_default=True,
    help="The Secret, which must be there, in which replicas share it.",
)
@click.option("--configuration", default="donjon", show_default=True, help="The MutatingWebhookConfiguration that calls us.")
@click.option(
    "--certificate-lifetime",
    "lifetime",
    envvar="DONJON_CERTIFICATE_LIFETIME",
    default="90d",
    show_default=True,
    callback=_duration,
    help="How long a certificate is good; it is renewed after two thirds of that.",
)
@click.option(
    "--certificate-dir",
    "folder",
    type=click.Path(path_type=Path),
    help="A folder with tls.crt and tls.key that another program renews, such as cert-manager; what stands above is then its.",
)
@click.option(
    "--listen", default="0.0.0.0:9443", show_default=True, metavar="ADDRESS:PORT", callback=read_address, help="Where to serve."
)
@click.option(
    "--probes",
    default="0.0.0.0:9809",
    show_default=True,
    metavar="ADDRESS:PORT",
    callback=read_address,
    help="Where /metrics, /healthz and /readyz are served.",
)
@click.option(
    "--drain",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, 600),
    help="Seconds between being told to stop and closing, in which the cluster hears that we go.",
)
@LOG_LEVEL
@choices
def serve(
    *,
    namespace: str,
    service: str,
    names: tuple[str, ...],
    secret: str,
    configuration: str,
    lifetime: timedelta,
    folder: Path | None,
    listen: tuple[str, int],
    probes: tuple[str, int],
    drain: float,
    log_level: str,
    settings: Settings,
) -> None:
    """Run the webhook that wires pods where the API server has no MutatingAdmissionPolicy (before Kubernetes 1.36).

    What it counts and logs as refused follows the same choices as the policies, which are what refuses.
    """
    try:
        from donjon.services.admission.run import run  # noqa: PLC0415 - printing policies needs none of its libraries.
        from donjon.services.admission.settings import AdmissionSettings, CertificateFolder, SharedCertificate  # noqa: PLC0415 - loaded when it is needed, since help needs none of it.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"the webhook needs {error.name}: pip install 'donjon[webhook]'") from error
    shared = SharedCertificate(
        namespace=namespace,
        secret=secret,
        configuration=configuration,
        names=(f"{service}.{namespace}.svc", *names),
        lifetime=lifetime,
    )
    certificate = shared if folder is None else CertificateFolder(folder=folder)
    log_to_stderr(log_level)
    run(AdmissionSettings(listen=listen, probes=probes, certificate=certificate, drain=drain, rules=settings))
