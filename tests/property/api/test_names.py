"""Generated names: short enough for pods and Services, one for each object, the same every time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from grove_operator.api import names
from grove_operator.api.constants import NAME_BUDGET
from grove_operator.api.labels import clique_labels, group_labels, object_labels, replica_labels, selector_text
from grove_operator.api.syntax import is_dns_label, map_faults

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", fullmatch=True)
INDEX = st.integers(0, 9_999)
UID = st.uuids().map(str)
SOME = settings(max_examples=40, deadline=None)


@SOME
@given(LABEL, LABEL, LABEL, INDEX, INDEX, INDEX, UID)
def test_whatever_the_name_budget_admits_is_a_pod_name_and_a_hostname(
    pcs: str, group: str, clique: str, i: int, j: int, n: int, uid: str
) -> None:
    """45 characters of names, five hyphens, five more of the pod, and eight digits of indices make 63."""
    assert len(pcs) + len(group) + len(clique) <= NAME_BUDGET
    fqn = names.member_pod_clique(pcs, i, group, j, clique)
    assert is_dns_label(names.pod(fqn, uid, n, ""))
    assert is_dns_label(names.pod_hostname(fqn, n))
    assert is_dns_label(names.headless_service(pcs, i))
    assert is_dns_label(names.token_secret(pcs))


@SOME
@given(LABEL, LABEL, LABEL, INDEX, INDEX, INDEX, INDEX)
def test_replicas_never_share_a_name(pcs: str, group: str, clique: str, i: int, k: int, j: int, m: int) -> None:
    if i != k:
        assert names.pod_clique(pcs, i, clique) != names.pod_clique(pcs, k, clique)
        assert names.replica(pcs, i) != names.replica(pcs, k)
    if (i, j) != (k, m):
        one = names.member_pod_clique(pcs, i, group, j, clique)
        assert one != names.member_pod_clique(pcs, k, group, m, clique)
        assert names.pod_hostname(pcs, i) != names.pod_hostname(pcs, k) or i == k


@SOME
@given(LABEL, UID, INDEX, UID)
def test_a_pod_keeps_its_name_until_it_has_had_a_successor(fqn: str, uid: str, n: int, previous: str) -> None:
    first, again = names.pod(fqn, uid, n, ""), names.pod(fqn, uid, n, "")
    assert first == again
    assert len(first) == len(fqn) + 6
    successors = {names.pod(fqn, uid, n, f"{previous}-{k}") for k in range(8)}
    assert len(successors | {first}) >= 8, "32^5 names: that two of nine meet is a matter of 1 in a million"


@SOME
@given(LABEL, LABEL, INDEX)
def test_labels_are_labels_and_selectors_choose_by_them(pcs: str, clique: str, i: int) -> None:
    fqn = names.pod_clique(pcs, i, clique)
    role = object_labels(pcs, "pod-role", names.role(pcs))
    for labels in (role, replica_labels(pcs, i), clique_labels(pcs, fqn), group_labels(pcs, fqn)):
        assert list(map_faults("labels", labels, are_labels=True)) == []
    assert selector_text(clique_labels(pcs, fqn)).endswith(f",grove.io/podclique={fqn}")
