"""Pods that nobody would write: every field that the rules look at may be there, missing, or of another type."""

from hypothesis import strategies as st
from tests.admission.pods import AKS, ALIBABA, ENCLAVE, EPC, FAQ, PROVISION
from tests.admission.samples import QUOTE_PROVIDER

from donjon.formats.json import Json

NAMES = st.sampled_from([EPC, FAQ, AKS, ALIBABA, ENCLAVE, PROVISION, "cpu", "example.com/gpu"])
QUANTITIES: st.SearchStrategy[Json] = st.one_of(
    st.sampled_from(["1e400", "10Ei", "1Pi", "-1", "1.5", "0", "", "ten", "10Mi", "4Ki", "1e-400", "9" * 200]),
    st.integers(-2, 2**64),
    st.floats(),
    st.booleans(),
    st.none(),
)
JUNK: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def shape(fields: dict[str, st.SearchStrategy[Json]]) -> st.SearchStrategy[Json]:
    """An object with some of those fields, or something else altogether, seldom."""
    good: st.SearchStrategy[Json] = st.fixed_dictionaries({}, optional=fields)
    return st.integers(0, 15).flatmap(lambda chance: JUNK if chance == 0 else good)


AMOUNTS: st.SearchStrategy[Json] = st.dictionaries(NAMES, QUANTITIES, max_size=4)
RESOURCES = shape({"limits": st.one_of(AMOUNTS, JUNK), "requests": st.one_of(AMOUNTS, JUNK)})
CONTAINER = shape(
    {
        "name": st.one_of(st.sampled_from(["app", "aesmd"]), JUNK),
        "resources": RESOURCES,
        "restartPolicy": JUNK,
        "env": JUNK,
        "volumeMounts": JUNK,
        "securityContext": JUNK,
    }
)
CONTAINERS: st.SearchStrategy[Json] = st.one_of(st.lists(CONTAINER, max_size=4), JUNK)
LISTS: st.SearchStrategy[Json] = st.one_of(
    st.lists(shape({"name": st.just("aesmd-socket"), "hostPath": JUNK, "key": JUNK})), JUNK
)
SPEC = shape(
    {"containers": CONTAINERS, "initContainers": CONTAINERS, "nodeName": JUNK, "os": JUNK, "nodeSelector": JUNK}
    | {"tolerations": LISTS, "volumes": LISTS}
)
METADATA = shape({"annotations": shape({QUOTE_PROVIDER: st.sampled_from(["aesmd", "app", ""]), EPC: JUNK})})
PODS = shape({"metadata": METADATA, "spec": SPEC}).filter(lambda made: isinstance(made, dict))
"""Pods, most of them nearly right."""
