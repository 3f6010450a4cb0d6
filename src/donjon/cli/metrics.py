"""`donjon metrics`: the Kubernetes metrics APIs, with EPC in them."""

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli import serving
from donjon.cli.terminal import write
from donjon.errors import Misconfigured
from donjon.services.metrics import settings as metrics_settings
from donjon.services.metrics.settings import MetricsSettings


@click.group()
def metrics() -> None:
    """Let Kubernetes' own autoscaler scale on EPC."""


@metrics.command(short_help="Serve the metrics APIs behind the API server.")
@serving.settings(metrics_settings.SETTINGS, metrics_settings.read)
def serve(*, settings: MetricsSettings) -> None:
    """Serve metrics-server's API with EPC in it, and custom and external metrics of EPC.

    It runs in a pod of the chart (metricsApi.enabled). metrics-server's own API leads to it from when a replica is ready.

    Each setting is taken from its option, else from DONJON_… in the environment, such as DONJON_LOG_LEVEL, else from the file.
    """
    try:
        from donjon.services.metrics.run import run  # noqa: PLC0415 - help needs none of its libraries.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"the metrics server needs {error.name}: install the extra donjon[webhook]") from error
    log_to_stderr(settings.log_level)
    run(settings)


@metrics.command(name="release", short_help="Give metrics-server its API back.")
@serving.settings((metrics_settings.NAMESPACE, metrics_settings.SERVICE), metrics_settings.read)
def give_back(*, settings: MetricsSettings) -> None:
    """Have metrics-server's API lead to metrics-server again, as it did before it was taken over.

    The chart runs it before an uninstall, and before an upgrade or a rollback that turns the API off.
    """
    from donjon.services.metrics.run import hand_back  # noqa: PLC0415 - 〃

    write(f"{hand_back(settings)}\n")
