"""`donjon admission serve`: the webhook, for API servers that cannot wire pods themselves."""

import click

from donjon.adapters.logs import log_to_stderr
from donjon.cli import serving
from donjon.errors import Misconfigured
from donjon.services.admission import settings as admission_settings
from donjon.services.admission.settings import AdmissionSettings


@click.command(short_help="Run the webhook, for Kubernetes before 1.36.")
@serving.settings(admission_settings.SETTINGS, admission_settings.read)
def serve(*, settings: AdmissionSettings) -> None:
    """Run the webhook that wires pods where the API server has no MutatingAdmissionPolicy (before Kubernetes 1.36).

    What it counts and logs as refused follows the same choices as the policies, which are what refuses.

    Each setting is taken from its option, else from DONJON_… in the environment, such as DONJON_LOG_LEVEL, else from the file.
    """
    try:
        from donjon.services.admission.run import run  # noqa: PLC0415 - printing policies needs none of its libraries.
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"the webhook needs {error.name}: install the extra donjon[webhook]") from error
    log_to_stderr(settings.log_level)
    run(settings)
