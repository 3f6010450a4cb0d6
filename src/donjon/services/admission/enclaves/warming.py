"""What runs already is looked into first, so that a pod that is made again does not wait for it."""

import asyncio
import logging

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.logs import say
from donjon.admission.images import asks_for_enclaves, images_of
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject
from donjon.kube.objects import TERMINAL_PHASES, phase_of
from donjon.services.admission.enclaves.inspection import Inspections

LOG = logging.getLogger(__name__)

PODS = "/api/v1/pods"
MAX_WARMED = 256  # images
EACH_WITHIN = 300.0  # seconds
WARMING = ""  # no namespace's own: what is warmed takes no pod's place


async def warm(api: KubeApi, inspections: Inspections) -> None:
    """Look into the images of running pods that ask for SGX, one after the other; what fails is left to its pod."""
    try:
        by_pod = await api.all(PODS, _images)
    except DonjonError as error:
        say(LOG, "images of running pods: not looked into", level=logging.WARNING, code=error.code, error=error.message)
        return
    names = list(dict.fromkeys(name for names in by_pod for name in names))[:MAX_WARMED]
    count = 0
    for name in names:
        try:
            await inspections.look(name, WARMING, within=EACH_WITHIN)
            count += 1
        except DonjonError as error:
            say(LOG, "an image of a running pod: not looked into", image=name[:512], code=error.code, error=error.message)
        await asyncio.sleep(0)
    say(LOG, "images of running pods: looked into", images=count, of=len(names))


def _images(pod: JsonObject) -> tuple[str, ...]:
    images = images_of(pod)
    return tuple(each.image for each in images) if asks_for_enclaves(images) and phase_of(pod) not in TERMINAL_PHASES else ()
