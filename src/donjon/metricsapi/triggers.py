"""A trigger of KEDA: which figure of which pods it is about, its target, and the one number that they come to.

The number is the sum over the pods, and the target is what each may have: so KEDA's own autoscaler counts (`AverageValue`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from donjon.errors import Malformed, Unavailable
from donjon.kube import label_selectors
from donjon.kube.label_selectors import Selector
from donjon.kube.quantities import MAX, NANO, exact
from donjon.metricsapi.series import Series, value
from donjon.metricsapi.use import PodSite, PodUse

MAX_WORDS = 1 << 14  # characters of all that a trigger says
OF_KEDA = frozenset({"scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey", "tlsCertFile"})
"""What KEDA itself reads of a trigger's metadata, or did once, and hands on."""
OF_OURS = ("metric", "target", "selector", "activation")
FROM_ENVIRONMENT = "FromEnv"  # behind a word: KEDA puts what that variable of the pods says in place of its name

MAX_NAMES = 3  # of pods, in a message
_SMALLEST = Fraction(1, 1000)  # KEDA counts in thousandths


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcTrigger:
    """A figure of EPC, and how much of it each of these pods may have."""

    subject: str
    namespace: str
    series: Series
    selector: Selector
    target: Fraction
    activation: Fraction


def parse_trigger(namespace: str, name: str, metadata: Mapping[str, str]) -> EpcTrigger:
    """The trigger; raises `Malformed` DJ761 for the first fault of what it says."""
    subject = f"trigger of {namespace[:63]}/{name[:63]}"
    if sum(len(key) + len(text) for key, text in metadata.items()) > MAX_WORDS:
        raise Malformed("DJ761", f"{subject}: expected at most {MAX_WORDS} characters of metadata")
    metadata = _plain(metadata)
    if strange := sorted(metadata.keys() - OF_KEDA - {*OF_OURS}):
        raise Malformed("DJ761", f"{subject}: {strange[0][:60]!r} is unknown, expected {', '.join(OF_OURS)}")
    target = _amount(subject, "target", metadata.get("target", ""))
    if target < _SMALLEST:
        raise Malformed("DJ761", f"{subject}: target: expected more than 0")
    return EpcTrigger(
        subject=subject,
        namespace=namespace,
        series=_series(subject, metadata.get("metric", "")),
        selector=_selector(subject, metadata.get("selector", "")),
        target=target,
        activation=_amount(subject, "activation", metadata.get("activation", "0")),
    )


def total(trigger: EpcTrigger, pods: Iterable[tuple[PodSite, PodUse | None]]) -> Fraction:
    """The figure of all pods that run; raises `Unavailable` DJ762 where it is not known of one of them, or there is none."""
    running = [(pod, use) for pod, use in pods if pod.runs]
    if not running:
        raise Unavailable("DJ762", f"{trigger.subject}: no pod runs that its selector chooses")
    numbers = {pod.name: None if use is None else value(trigger.series, use) for pod, use in running}
    if dark := sorted(name for name, number in numbers.items() if number is None):
        names = ", ".join(dark[:MAX_NAMES]) + (f" and {len(dark) - MAX_NAMES} more" if len(dark) > MAX_NAMES else "")
        raise Unavailable("DJ762", f"{trigger.subject}: {trigger.series} is not known of {names}")
    return sum((_rounded(number) for number in numbers.values() if number is not None), Fraction(0))


def _rounded(number: Fraction) -> Fraction:
    """To the nearest billionth: exact fractions of thousands of different requests come to thousands of digits."""
    return Fraction(round(number * NANO), NANO)


def _plain(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """The words without that suffix; who says one both ways means the plain one, as with KEDA's own triggers."""
    of_environment = {f"{word}{FROM_ENVIRONMENT}": word for word in OF_OURS}
    beneath = {word: metadata[key] for key, word in of_environment.items() if key in metadata}
    return beneath | {key: text for key, text in metadata.items() if key not in of_environment}


def _series(subject: str, text: str) -> Series:
    if text not in set(Series):
        raise Malformed("DJ761", f"{subject}: metric is {text[:60]!r}, expected one of {', '.join(Series)}")
    return Series(text)


def _selector(subject: str, text: str) -> Selector:
    if not text.strip():
        raise Malformed("DJ761", f"{subject}: selector is missing, expected the labels of the pods, such as app=vault")
    try:
        return label_selectors.parse(text)
    except Malformed as error:
        raise Malformed("DJ761", f"{subject}: selector: {error.message}") from error


def _amount(subject: str, key: str, text: str) -> Fraction:
    try:
        number = exact(text.strip())
    except Malformed as error:
        raise Malformed("DJ761", f"{subject}: {key} is {text[:60]!r}, expected a quantity such as 8Mi or 800m") from error
    if not 0 <= number <= MAX:
        raise Malformed("DJ761", f"{subject}: {key} is {text[:60]!r}, expected 0 to {MAX}")
    return number
