"""The object by which the API server calls the webhook: only about pods that ask, and never for long.

No answer lets the pod through unwired, and the refusing policy, which the API server runs itself, then says so in words. So a
webhook that is away hinders nobody who does not ask, and lets nobody start without a device.
"""

from donjon.admission.policies.objects import API_VERSION, LABELS, PODS
from donjon.admission.policies.wiring import WIRE_CONDITIONS
from donjon.formats.json import JsonObject

WAITS = 3
"""Seconds that the API server waits for an answer; a busy webhook takes milliseconds, and each such pod waits that long."""
HOOK = "wire.donjon.dev"
PATH = "/mutate"


def call(name: str, namespace: str, service: str) -> JsonObject:
    """The MutatingWebhookConfiguration; the webhook itself writes its `caBundle`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": dict(LABELS)},
        "webhooks": [
            {
                "name": HOOK,
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {"namespace": namespace, "name": service, "path": PATH, "port": 443}},
                "rules": [{**PODS, "scope": "Namespaced"}],
                "matchConditions": [{"name": each, "expression": text} for each, text in WIRE_CONDITIONS.items()],
                "matchPolicy": "Equivalent",
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "timeoutSeconds": WAITS,
                # Others' webhooks that run after ours may add containers that ask.
                "reinvocationPolicy": "IfNeeded",
            }
        ],
    }
