"""What a request asks, by its path, and the right that it needs."""

import pytest

from donjon.errors import Malformed
from donjon.metricsapi.discovery import Group, resources
from donjon.metricsapi.questions import Kind, ask

RESOURCE = "/apis/metrics.k8s.io/v1beta1"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop"


@pytest.mark.parametrize(
    ("path", "kind", "right"),
    [
        (f"{RESOURCE}/nodes", Kind.NODES, {"resource": "nodes", "verb": "list"}),
        (f"{RESOURCE}/nodes/n1", Kind.NODES, {"resource": "nodes", "verb": "get", "name": "n1"}),
        (f"{RESOURCE}/pods", Kind.PODS, {"resource": "pods", "verb": "list"}),
        (f"{RESOURCE}/namespaces/shop/pods", Kind.PODS, {"resource": "pods", "verb": "list", "namespace": "shop"}),
        (
            f"{RESOURCE}/namespaces/shop/pods/web-1",
            Kind.PODS,
            {"resource": "pods", "verb": "get", "namespace": "shop", "name": "web-1"},
        ),
        (
            f"{CUSTOM}/%2A/sgx_epc_resident_bytes",
            Kind.CUSTOM,
            {"resource": "pods", "verb": "get", "namespace": "shop", "name": "*", "subresource": "sgx_epc_resident_bytes"},
        ),
        (
            f"{EXTERNAL}/sgx_epc_utilization",
            Kind.EXTERNAL,
            {"resource": "sgx_epc_utilization", "verb": "list", "namespace": "shop"},
        ),
    ],
)
def test_a_path_says_what_is_asked_and_which_right_it_needs(path: str, kind: Kind, right: dict[str, str]) -> None:
    question = ask(path, "labelSelector=app%3Dweb")
    assert question.kind is kind
    attributes = question.right["resourceAttributes"]
    assert isinstance(attributes, dict)
    assert {name: each for name, each in attributes.items() if name not in {"group", "version"}} == right
    assert question.parameters == {"labelSelector": "app=web"}


@pytest.mark.parametrize("group", Group)
def test_a_group_lists_its_resources_to_who_may_see_the_path(group: Group) -> None:
    question = ask(f"/apis/{group.value}", "")
    assert question.kind is Kind.RESOURCES
    assert question.right == {"nonResourceAttributes": {"path": f"/apis/{group.value}", "verb": "get"}}
    assert resources(group)["groupVersion"] == group.value


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/apis",
            "/openapi/v3/apis/apps/v1",
            "/openapi/v2/",
            "/apis/metrics.k8s.io",
            "/apis/metrics.k8s.io/v1",
            f"{RESOURCE}/secrets",
        ),
        *(f"{RESOURCE}/namespaces/shop/pods/a/b", f"{RESOURCE}/namespaces/shop/nodes", f"{CUSTOM}/*/cpu", f"{CUSTOM}/a"),
        *(f"{EXTERNAL}/sgx_epc_node_evicted_bytes", f"{RESOURCE}/../../api/v1/secrets", f"{RESOURCE}%2Fpods"),
    ],
)
def test_what_the_apis_have_not_is_refused(path: str) -> None:
    with pytest.raises(Malformed) as error:
        ask(path, "")
    assert error.value.code == "DJ725"


@pytest.mark.parametrize(
    "name", [".", "..", "%2e", "a%2F..%2Fb", "..%2F..%2Fbank%2Fpods", "a%00", "%F0%9F%98%80", "a" * 254, "*", "A"]
)
def test_what_is_no_name_is_refused_before_anybody_is_asked_for_a_right(name: str) -> None:
    everywhere = (f"{RESOURCE}/nodes/{name}", f"{RESOURCE}/namespaces/shop/pods/{name}", f"{RESOURCE}/namespaces/{name}/pods")
    for path in (*everywhere, f"{RESOURCE}/namespaces//pods", f"{EXTERNAL.removesuffix('shop')}/sgx_epc_resident_bytes"):
        with pytest.raises(Malformed) as error:
            ask(path, "")
        assert error.value.code == "DJ725"


def test_what_is_asked_of_others_is_the_path_for_which_the_right_is() -> None:
    assert ask(f"//{RESOURCE}/namespaces/shop/pods//"[1:], "").path == f"{RESOURCE}/namespaces/shop/pods"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/openapi/v2", Kind.SCHEMA),
        ("/openapi/v3", Kind.SCHEMAS),
        ("/openapi/v3/apis/metrics.k8s.io", Kind.SCHEMA),
        ("/openapi/v3/apis/metrics.k8s.io/v1beta1", Kind.SCHEMA),
    ],
)
def test_the_schema_is_for_who_may_see_its_path(path: str, kind: Kind) -> None:
    question = ask(path, "hash=AB")
    assert (question.kind, question.path, question.parameters) == (kind, path, {})
    assert question.right == {"nonResourceAttributes": {"path": path, "verb": "get"}}


@pytest.mark.parametrize("path", [f"{RESOURCE}/pods", f"{RESOURCE}/nodes", f"{CUSTOM}/*/sgx_epc_utilization"])
def test_a_list_cannot_be_watched(path: str) -> None:
    for query in ("watch=true", "watch=1&resourceVersion=0", "limit=1&watch=TRUE"):
        with pytest.raises(Malformed) as error:
            ask(path, query)
        assert error.value.code == "DJ724"
    for query in ("watch=false", "watch=0", "watch=", "watch=False"):
        assert ask(path, query).path == path


@pytest.mark.parametrize("query", ["a", "&".join(f"a{number}=1" for number in range(40))])
def test_a_query_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(Malformed) as error:
        ask(f"{RESOURCE}/pods", query)
    assert error.value.code == "DJ729"
