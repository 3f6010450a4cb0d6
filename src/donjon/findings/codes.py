"""Codes that code compares, each by a name, and whose number is which. A page says what a code means; `donjon explain` prints it.

A code decides where it is a value of its own. In what others say of us, such as an API server's refusal, `codes_in` finds it.
"""

import re
from collections.abc import Mapping

AREAS: Mapping[str, str] = {
    "0": "nodes: readiness, devices, the agent, its kubelet and API server, our servers' sockets",
    "1": "pods and admission: rules, the webhook, why a pod does not run",
    "2": "quotes, certificates and collateral: format, trust, TCB, acceptance",
    "3": "enclaves and images: SIGSTRUCT, MRENCLAVE, signing, which are trusted, wrapping",
    "4": "policies, tokens and the attestation protocol",
    "5": "every program's settings; the attestation service: database, cache, instances, keys, callers, platforms",
    "6": "the audit",
    "7": "EPC in use: the meter, its readings, the metrics of pods, scaling",
    "8": "machines in number: the catalogue, pools, placement",
    "9": "readings, amounts and files that are not what their format says",
}
"""By a code's first digit."""

NO_SGX = "DJ001"
SGX_OFF = "DJ002"
LAUNCH_CONTROL = "DJ003"
NO_DEVICE = "DJ004"
OBSTACLE = "DJ005"
NO_EPC = "DJ006"
EPC_DIFFERS = "DJ007"
NO_PROVISION = "DJ008"
ROOT_ALONE = "DJ009"
DEV_NOEXEC = "DJ010"
NO_AESM = "DJ011"
NO_EDMM = "DJ012"
LEGACY_DRIVER = "DJ013"
EPC_NOT_BELIEVED = "DJ016"
NOT_SHOWN = "DJ017"
GUARD_UNKNOWN = "DJ027"
LOCKED = "DJ034"
NOSGX = "DJ035"
DRIVERLESS = "DJ036"
GUESTS_ALONE = "DJ037"
NO_SUCH_DEVICE = "DJ038"
OF_GUARD = frozenset({"DJ024", "DJ025", "DJ026", GUARD_UNKNOWN})

NOT_WIRED = frozenset({"DJ101", "DJ102"})
"""Where a pod came to the refusing policy without what wires it."""
BY_HAND = "DJ105"
LOOKED_INTO_NOW = "DJ379"
UNJUDGED = frozenset({"DJ375", LOOKED_INTO_NOW, "DJ380"})
"""Where nobody looked, or could look yet, at the images of a pod."""
FORBIDDEN_TO_AGENT = "DJ110"
UNREADY_NODE = "DJ134"
NO_CERTIFICATE_KEPT = "DJ147"
MISNAMED = "DJ151"
NOT_INSTALLED = "DJ178"
UNINSTALL_BEGUN = "DJ180"
LEFT_BEHIND = "DJ183"

NOT_STRICT_JSON = frozenset({"DJ210", "DJ211"})
ANOTHER_ROOT = "DJ220"
UPSTREAM_AWAY = "DJ281"

NOT_SIGNED = "DJ301"
OTHER_MEASUREMENT = "DJ305"
OTHER_FORM = "DJ309"
DEBUG_KEY = "DJ315"
NO_SIGNATURE = "DJ316"
SHELL_STARTS = "DJ355"
SEVERAL_PROCESSES = "DJ356"

REGISTRY_SILENT = "DJ330"
REGISTRY_UNKNOWN = "DJ332"
NOT_LOOKED_INTO = frozenset({REGISTRY_SILENT, "DJ331", REGISTRY_UNKNOWN})
"""Where an image was not had from its registry."""

NO_SIMULATED_ISSUER = "DJ435"
REFUSED_TOKENS = frozenset(f"DJ{number}" for number in range(440, 449))
"""A signed token, its certificate or its policy is not what an instance takes."""

DATABASE_AWAY = "DJ502"
OTHER_COLLATERAL = "DJ510"
NO_COLLATERAL = "DJ512"
CACHE_FULL = "DJ518"
NOT_APPLICABLE = "DJ531"
NO_KEY = "DJ541"
ISSUER_AWAY = "DJ553"
REVIEWS_AWAY = "DJ554"
NO_CERTIFICATE_FOR_TCB = "DJ571"
UNKNOWN_PLATFORM = "DJ572"
NO_CERTIFICATES = "DJ573"
NOT_TO_BE_ASKED_FOR = "DJ574"
PLATFORMS_FULL = "DJ576"
PLATFORMS_TOO_MANY = "DJ578"

CUT = "DJ606"
NO_HEAD = "DJ613"
BEHIND_END = "DJ614"
MOMENT_AMISS = "DJ615"
HEAD_DUE = "DJ616"
NOT_YET_DROPPED = frozenset({"DJ621", "DJ626"})
"""Old audit records stay, and nothing failed: heads saw too little time pass, or they are of a time without keys."""
TEXTS_FULL = "DJ630"

NO_METER = frozenset({"DJ700", "DJ701", "DJ702", "DJ703", "DJ704", "DJ705", "DJ709", "DJ710"})
"""EPC in use cannot be measured here, or not in that way; trying again does not mend it."""
NO_DRIVER = "DJ700"
METER_STALE = "DJ708"
ONLY_READ = "DJ724"
METRICS_SERVER_SILENT = "DJ720"
NO_SUCH_METRICS = "DJ725"

SYSFS_EPC = "DJ903"

_BRACKETED = re.compile(r"\[(DJ[0-9]{3})\]")


def says_no_sgx(text: str) -> bool:
    """Whether a meter's words are that its node has no SGX, so that there is nothing to be counted."""
    return codes_in(text) - {METER_STALE} == {NO_DRIVER}


def codes_in(text: str) -> frozenset[str]:
    """The codes of the sentences in a text of ours, as somebody else hands it on: each stands in brackets."""
    return frozenset(_BRACKETED.findall(text))
