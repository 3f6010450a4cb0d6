"""How many policies one namespace may have: who may write them there slows nobody, and lets nothing through."""

import asyncio
from typing import Any, cast

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import KubeApi
from donjon.kube.names import ENCLAVE_POLICY
from donjon.services.admission.enclaves.rulebook import MAX_OF_NAMESPACE, NamespaceRules, Rulebook


def policy(name: str, namespace: str, mode: str = "warn") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "generation": 1}, "spec": {"mode": mode}}


def rulebook() -> Rulebook:
    book = Rulebook(cast("KubeApi", None), clock.moment)
    for namespace in ("full", "other"):
        book._take_namespace("", {"metadata": {"name": namespace}}, is_deleted=False)
    return book


def rules(book: Rulebook, namespace: str) -> NamespaceRules:
    return asyncio.run(book.rules(namespace))


def test_more_policies_than_are_read_refuse_in_their_namespace_and_are_asked_of_in_no_other() -> None:
    book = rulebook()
    for number in range(1000):
        book._take_policy(ENCLAVE_POLICY, policy(f"p{number}", "full"), is_deleted=False)
    book._take_policy(ENCLAVE_POLICY, policy("one", "other"), is_deleted=False)
    full, other = rules(book, "full"), rules(book, "other")
    assert (len(full.trusts), len(full.unreadable), full.enforces) == (MAX_OF_NAMESPACE, 1, True)
    assert (len(other.trusts), other.unreadable, other.enforces) == (1, (), False)
    assert "more than 64" in str(full.unreadable[0][1])


def test_a_policy_that_is_changed_is_not_read_over_others_and_what_is_deleted_makes_room() -> None:
    book = rulebook()
    names = [f"p{number}" for number in range(MAX_OF_NAMESPACE + 2)]
    for name in (*names, names[-1], names[0]):  # The last two are changed: the one stays beyond, the other stays read.
        book._take_policy(ENCLAVE_POLICY, policy(name, "full"), is_deleted=False)
    assert (len(book), rules(book, "full").enforces) == (MAX_OF_NAMESPACE + 2, True)
    for name in names[-2:]:
        book._take_policy(ENCLAVE_POLICY, policy(name, "full"), is_deleted=True)
    assert (len(rules(book, "full").trusts), rules(book, "full").enforces) == (MAX_OF_NAMESPACE, False)
    for name in names:
        book._take_policy(ENCLAVE_POLICY, policy(name, "full"), is_deleted=True)
    assert rules(book, "full").says_nothing
