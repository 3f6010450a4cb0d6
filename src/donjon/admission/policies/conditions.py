"""When the validating policies look closer at a pod: seldom, since that costs a multiple of what the API server needs anyway."""

from donjon.admission.hostpaths import DEVICE_SUBSTRING
from donjon.admission.limits import MAX_CONTAINERS
from donjon.admission.policies import cel
from donjon.admission.policies.pods import POD, PodPlace
from donjon.admission.policies.variables import STRAY, windows
from donjon.kube.names import (
    AESM_PLACES,
    ANNOTATION_EPC,
    ANNOTATION_QUOTE_PROVIDER,
    ENCLAVE,
    EPC,
    FOREIGN_EPC,
    PROVISION,
    SGX_RESOURCES,
)


def strays(place: PodPlace) -> str:
    """Whether the pod asks for SGX by a name that nobody offers; of too many containers nobody is looked at.

    Every pod is asked this, so no list is made for it until there is such a name.
    """
    asks = f"exists(c, has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(n, {STRAY}))"
    anywhere = f"{place.spec}.containers.{asks} ||\nhas({place.spec}.initContainers) && {place.spec}.initContainers.{asks}"
    return f"({anywhere}) &&\n{_containers(place)}.size() <= {MAX_CONTAINERS}"


def annotated(place: PodPlace) -> str:
    """Whether nothing but an annotation of the pod speaks of EPC."""
    limits = "c.resources.limits"
    names = " || ".join(f"{cel.text(name)} in {limits}" for name in SGX_RESOURCES)
    return (
        f"{cel.text(ANNOTATION_EPC)} in ({place.annotations}) && !has({place.spec}.runtimeClassName) &&\n"
        f"!{_containers(place)}.exists(c, has(c.resources) && has({limits}) && ({names}))"
    )


def unusual(place: PodPlace, *, host_devices: bool) -> str:
    """Whether the pod asks for anything of SGX and is not plainly wired; all else is for such pods, and costs a multiple.

    Plain is one enclave device, whole MiB or GiB of EPC below `LIKELY`, and no more of ours: no rule has anything to say of that.
    """
    containers = _containers(place)
    limits, epc, enclave = "c.resources.limits", cel.text(EPC), cel.text(ENCLAVE)
    rare = " || ".join(f"{cel.text(name)} in {limits}" for name in (*FOREIGN_EPC, PROVISION))
    ours = f"({epc} in {limits} || {enclave} in {limits})"
    plain = (
        f"{epc} in {limits} && {enclave} in {limits} && string({limits}[{enclave}]) == '1' &&\n"
        f"    string({limits}[{epc}]).matches('^([0-9]{{1,6}}Mi|[0-9]{{1,3}}Gi)$')"
    )
    whole = (
        f"has({place.spec}.nodeName)",
        windows(place.spec),
        f"{containers}.size() > {MAX_CONTAINERS}",
        f"{cel.text(ANNOTATION_QUOTE_PROVIDER)} in ({place.annotations})",
        *(() if place is POD else ("object.kind == 'DaemonSet'",)),
        *((_mounting(place.spec, f"!(v.hostPath.path in {cel.strings(AESM_PLACES)})"),) if host_devices else ()),
        f"{containers}.exists(c, has(c.securityContext) && has(c.securityContext.privileged) && c.securityContext.privileged)",
        f"{containers}.exists(c, has(c.resources) && has({limits}) && ({rare} || {ours} && !(\n    {plain})))",
    )
    asks = f"{containers}.exists(c, has(c.resources) && has({limits}) && ({rare} || {ours})) && (\n  {cel.any_of(whole)})"
    naming = _mounting(place.spec, f"v.hostPath.path.contains('{DEVICE_SUBSTRING}')")
    return f"{asks} ||\n{naming}" if host_devices else asks


def _containers(place: PodPlace) -> str:
    return f"({place.spec}.containers + (has({place.spec}.initContainers) ? {place.spec}.initContainers : []))"


def _mounting(spec: str, which: str) -> str:
    """Whether it mounts such a path of the host."""
    return f"has({spec}.volumes) && {spec}.volumes.exists(v, has(v.hostPath) && {which})"
