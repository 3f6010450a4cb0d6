"""What docs/ promises as a bound is the bound: whoever raises or removes one comes by here, and by the sentence that tells it."""

from datetime import timedelta
from pathlib import Path

import pytest

from donjon.adapters.epc import rows as epc_rows
from donjon.adapters.http import limits, probe
from donjon.adapters.kubeapi import stream
from donjon.adapters.kubelet import channel
from donjon.adapters.storage import policy_texts
from donjon.admission import images, review
from donjon.admission.limits import MAX_CONTAINERS
from donjon.admission.policies.enclaves import PIN_PATH
from donjon.attestation import binding, memory, token
from donjon.audit import age, verification
from donjon.images import bounds
from donjon.maa import requests
from donjon.pki import serving
from donjon.pki.rotation import Pace
from donjon.policy import budget, evaluation, query
from donjon.runtime import rates
from donjon.services.admission import calls
from donjon.services.admission.enclaves import credentials, gate, inspection, reading
from donjon.services.admission.enclaves import memory as image_memory
from donjon.services.attestation import judging, turns
from donjon.services.attestation.maa import routes
from donjon.services.attestation.pccs import platform_memory, single_flight
from donjon.services.node import guard
from donjon.signing import ring

DOCS = Path(__file__).parents[2] / "docs"
PAGES = Path(budget.__file__).parents[1] / "findings" / "pages"

KIB, MIB = 1 << 10, 1 << 20


def bodies(each: limits.Limits) -> tuple[int, int]:
    """Altogether, and of one address."""
    return each.bodies, each.bodies_of_a_site


BOUNDS: list[tuple[str, str, object, object]] = [
    ("DJ378.md", "more than 128 MiB", reading.MAX_FILE, 128 * MIB),
    (
        "DJ379.md",
        "64 at once, of which 8 for pods of one namespace",
        (inspection.MAX_RUNNING, inspection.MAX_OF_NAMESPACE),
        (64, 8),
    ),
    ("DJ326.md", "More than 512 layers", bounds.MAX_LAYERS, 512),
    ("DJ326.md", "500,000 entries or 64 MiB of paths", (bounds.MAX_ENTRIES, bounds.MAX_PATHS), (500_000, 64 * MIB)),
    ("DJ326.md", "more than 1,100 bytes out of one", bounds.MAX_RATIO, 1_100),
    ("DJ326.md", "more than 1 GiB", bounds.MAX_CONTENT, 1024 * MIB),
    ("DJ322.md", "longer than 4 MiB", bounds.MAX_MANIFEST, 4 * MIB),
    ("DJ379.md", "in ten seconds", inspection.AGAIN_IN, 10),
    ("DJ381.md", "more than 64 different images", images.MAX_IMAGES, 64),
    ("DJ381.md", "more than 512 characters", images.MAX_IMAGE, 512),
    ("enclave-admission.md", "at most seven seconds", gate.WITHIN[PIN_PATH], 7),
    ("enclave-admission.md", "512 of them", image_memory.MAX_SHARED, 512),
    ("limits.md", "up to 30 s ago", inspection.NAME_GOOD, 30),
    ("limits.md", "Two images are looked into at a time", inspection.INSPECTORS, 2),
    ("limits.md", "for up to two minutes each", credentials.OF_IMAGE, 120),
    ("DJ413.md", "50000 steps", budget.MAX_STEPS, 50_000),
    ("DJ413.md", "0.2 s of the processor's time", budget.MAX_SECONDS, 0.2),
    ("DJ454.md", "65536 bytes of JSON", evaluation.MAX_ISSUED, 65_536),
    ("DJ454.md", "786432 bytes", token.MAX_PAYLOAD, 786_432),
    ("DJ455.md", "64 requests to this instance", turns.MAX_WAITING, 64),
    ("DJ149.md", "within a day, or within the last sixth", (serving.SOON, serving.SOON_PART), (timedelta(days=1), 6)),
    ("DJ541.md", "the last one ends within 14 days", ring.SOON, timedelta(days=14)),
    ("DJ617.md", "told from ten minutes after the first such record", verification.LATE, 600_000_000),
    (
        "DJ617.md",
        "Up to five minutes and 1,000 records",
        (verification.EVERY, verification.RECORDS),
        (timedelta(minutes=5), 1000),
    ),
    (
        "audit.md",
        "8 MiB a day, in base64url, each counted as 4 KiB at least; beyond that one new policy an hour is set",
        (policy_texts.MAX_NEW, policy_texts.LEAST_WEIGHT, policy_texts.RESERVE),
        (8 * MIB, 4 * KIB, 3_600_000_000),
    ),
    ("attestation-service.md", "longer than 2 ms", judging.GLANCE * budget.MAX_SECONDS, 0.002),
    ("attestation-service.md", "It has 64 places", turns.MAX_WAITING, 64),
    ("figures.md", "of 10,168 (32 MiB)", (memory.MAX_PLATFORMS, memory.MAX_BYTES), (10_168, 32 * MIB)),
    ("limits.md", "more than 320 KiB of JSON", stream.LARGEST, 320 * KIB),
    ("limits.md", "longer than it can be read within 2 s", channel.TIMEOUT, 2),
    ("limits.md", "Up to 100 agents each look at least every 25 s", (guard.ENOUGH, guard.LOOK_EVERY), (100, 25)),
    ("limits.md", "larger than 8 MiB", review.MAX_SIZE, 8 * MIB),
    ("limits.md", "more than 500,000 commas", review.MAX_SIGNS, 500_000),
    ("limits.md", "a pod of at most 100 containers", MAX_CONTAINERS, 100),
    ("limits.md", "replicas have five minutes to follow", Pace.of(timedelta(days=90)).settle, timedelta(minutes=5)),
    ("limits.md", "port of probes 256", probe.LIMITS.connections, 256),
    (
        "limits.md",
        "1,024 connections, 64 of one address",
        (limits.Limits().connections, limits.Limits().of_a_site, probe.LIMITS.of_a_site),
        (1024, 64, 64),
    ),
    ("limits.md", "The webhook takes 512, 256 of one address", (calls.LIMITS.connections, calls.LIMITS.of_a_site), (512, 256)),
    (
        "limits.md",
        "take 32 MiB altogether, those of one address half of it (of the webhook 24 MiB and 16)",
        (*bodies(limits.Limits()), *bodies(calls.LIMITS)),
        (32 * MIB, 16 * MIB, 24 * MIB, 16 * MIB),
    ),
    ("DJ148.md", "24 MiB are kept for all together, 16 MiB of that for one address", bodies(calls.LIMITS), (24 * MIB, 16 * MIB)),
    (
        "DJ535.md",
        "32 MiB are kept for all requests together, half of that for one address",
        bodies(limits.Limits()),
        (32 * MIB, 16 * MIB),
    ),
    ("limits.md", "more than 64 TCBs of one machine", platform_memory.MAX_TCBS, 64),
    ("limits.md", "at most 256 such things", single_flight.MAX_UNDER_WAY, 256),
    ("limits.md", "One container: 4,096 enclaves", epc_rows.MAX_ENCLAVES_OF_ONE, 4096),
    ("limits.md", "One node: 32,768 enclaves", epc_rows.MAX_ENCLAVES, 32_768),
    ("limits.md", "Of more than 32,768 holders", epc_rows.MAX_HOLDERS, 32_768),
    ("limits.md", "more than 65,536 addresses", rates.MAX_KNOWN, 65_536),
    (
        "limits.md",
        "up to five minutes and 1,000 records",
        (verification.EVERY, verification.RECORDS),
        (timedelta(minutes=5), 1000),
    ),
    ("limits.md", "up to ten minutes of them", verification.LATE, 600_000_000),
    ("limits.md", "the oldest fourth of the time", age.GAP, 4),
    ("limits.md", "a service that nobody asks for a day", age.SILENCE, 86_400_000_000),
    ("limits.md", "more than 1,000 values in a body, or 20,000", (requests.MAX_VALUES, binding.MAX_VALUES), (1000, 20_000)),
    (
        "limits.md",
        "Bodies of more than 16 KiB are read, and data in JSON of more than 4 KiB",
        (routes.LIGHT_REQUEST, judging.LIGHT_DATA),
        (16 * KIB, 4 * KIB),
    ),
    ("limits.md", "64 KiB of run-time data", binding.MAX_DATA, 64 * KIB),
    ("limits.md", "longer than 2 ms", judging.GLANCE * budget.MAX_SECONDS, 0.002),
    ("limits.md", "all 64 waiting places", turns.MAX_WAITING, 64),
    ("limits.md", "8 attestation keys", memory.MAX_OWN_KEYS, 8),
    ("policies.md", "0.2 s of the processor's time", budget.MAX_SECONDS, 0.2),
    ("policies.md", "Work is counted (50000 steps", budget.MAX_STEPS, 50_000),
    ("policies.md", "8192 characters, nested 100 deep", (query.MAX_QUERY, query.MAX_NESTING), (8192, 100)),
    ("policies.md", "65536 bytes of JSON", evaluation.MAX_ISSUED, 65_536),
]
"""A page, its words, the bound, and what the words say it is."""


@pytest.mark.parametrize(("page", "words", "bound", "promised"), BOUNDS)
def test_a_bound_is_what_is_promised(page: str, words: str, bound: object, promised: object) -> None:
    text = ((PAGES if page.startswith("DJ") else DOCS) / page).read_text(encoding="utf-8")
    assert words.casefold() in " ".join(text.split()).casefold()
    assert bound == promised
