"""metrics-server's API, taken over and given back."""

import pytest

from donjon.errors import Unavailable
from donjon.formats.json import JsonObject
from donjon.metricsapi.registrations import ServicePort, before_of, bundle_of, give_back, lead, leads_to, take_over

OURS = ServicePort(namespace="donjon", name="donjon-metrics")
SPEC: JsonObject = {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100}
INSECURE: JsonObject = {"service": {"namespace": "kube-system", "name": "metrics-server"}, "insecureSkipTLSVerify": True}
SECURE: JsonObject = {"service": {"namespace": "kube-system", "name": "metrics-server", "port": 8443}, "caBundle": "UEVN"}


@pytest.mark.parametrize("whose", [INSECURE, SECURE], ids=["insecure", "with a bundle"])
def test_what_is_given_back_is_what_was_there(whose: JsonObject) -> None:
    before: JsonObject = {"metadata": {"name": "v1beta1.metrics.k8s.io", "annotations": {"a": "b"}}, "spec": SPEC | whose}
    ours = take_over(before, OURS, b"PEM of ours")
    assert leads_to(ours, OURS)
    assert not leads_to(before, OURS)
    assert bundle_of(ours) == b"PEM of ours"
    assert "insecureSkipTLSVerify" not in ours["spec"]  # type: ignore[operator] # An object.
    assert before_of(ours) == whose
    assert give_back(lead(ours, OURS, b"another")) == before


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"caBundle": "x"}'])
def test_what_nobody_knows_any_more_is_not_given_back(text: str | None) -> None:
    annotations: JsonObject = {} if text is None else {"donjon.dev/handed-over": text}
    with pytest.raises(Unavailable) as error:
        give_back({"metadata": {"name": "x", "annotations": annotations}, "spec": SPEC})
    assert error.value.code == "DJ726"
