"""After applying its own actions, the plan is empty - whatever was there and whatever is wished."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from grove_operator.api import names
from grove_operator.api.kinds import BY_KIND, Json, ObjectKey, key_of
from grove_operator.core.outcome import Outcome
from grove_operator.core.podclique import free_indices
from grove_operator.engine.merge import difference, merge
from grove_operator.engine.plan import Create, Delete, plan

OWNER: Json = {
    "apiVersion": "grove.io/v1alpha1",
    "kind": "PodCliqueSet",
    "metadata": {"name": "web", "namespace": "ns", "uid": "owner"},
}
scalars = st.one_of(st.integers(0, 3), st.sampled_from(["a", "b", ""]), st.booleans())
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)),
    max_leaves=6,
)
specs = st.dictionaries(st.sampled_from(["replicas", "podSpec", "x", "y"]), values, max_size=3)
words = st.dictionaries(
    st.sampled_from(["grove.io/pod-template-hash", "team"]), st.sampled_from(["1", "2"]), max_size=2
)
kinds = st.sampled_from(["PodClique", "PodGang", "Service", "Role", "PodCliqueScalingGroup"])


@st.composite
def objects(draw: st.DrawFn, *, live: bool) -> Json:
    kind = draw(kinds)
    labels = {**draw(words), "app.kubernetes.io/managed-by": "grove-operator"}
    owner = {"kind": "PodCliqueSet", "name": "web", "uid": "owner", "controller": True}
    meta: Json = {"name": draw(st.sampled_from(["one", "two"])), "namespace": "ns", "labels": labels}
    meta["ownerReferences"] = [owner]
    obj: Json = {"apiVersion": BY_KIND[kind].api_version, "kind": kind, "metadata": meta, "spec": draw(specs)}
    if live:
        if draw(st.booleans()):
            owner["uid"] = draw(st.sampled_from(["owner", "somebody else"]))
        meta |= {"uid": f"{kind}/{meta['name']}", "resourceVersion": "1"}
        if draw(st.booleans()):
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    elif kind == "PodGang":
        obj["status"] = {"phase": draw(st.sampled_from(["Pending", "Running"]))}
    return obj


def by_key(items: list[Json]) -> dict[ObjectKey, Json]:
    return {key_of(obj): obj for obj in items}


def apply(existing: dict[ObjectKey, Json], outcome: Outcome) -> dict[ObjectKey, Json]:
    result = dict(existing)
    for action in plan(outcome, OWNER, existing).actions:
        if isinstance(action, Create):
            result[action.key] = merge(action.body, {"metadata": {"uid": "new", "resourceVersion": "2"}})
        elif isinstance(action, Delete):
            assert result.pop(action.key)["metadata"]["uid"] == action.uid
        elif action.subresource == "status":
            result[action.key] = merge(result[action.key], {"status": action.body["status"]})
        else:
            result[action.key] = merge(result[action.key], action.body)
    return result


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(objects(live=True), max_size=4), st.lists(objects(live=False), max_size=4))
def test_after_applying_its_own_actions_the_plan_is_empty(live: list[Json], wished: list[Json]) -> None:
    existing, outcome = by_key(live), Outcome(tuple(by_key(wished).values()))
    once = apply(existing, outcome)  # statuses of new objects follow in a second pass: creation can't set them
    again = apply(once, outcome)
    assert plan(outcome, OWNER, again).actions == ()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(objects(live=True), max_size=4), st.lists(objects(live=False), max_size=4))
def test_what_somebody_else_controls_is_never_touched(live: list[Json], wished: list[Json]) -> None:
    existing = by_key(live)
    theirs = {key for key, obj in existing.items() if obj["metadata"]["ownerReferences"][0]["uid"] == "somebody else"}
    result = plan(Outcome(tuple(by_key(wished).values())), OWNER, existing)
    assert not theirs & {action.key for action in result.actions}
    assert set(result.foreign) == theirs & set(by_key(wished))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(specs, specs)
def test_the_smallest_patch_leads_to_the_wish_and_is_empty_there(base: Json, wanted: Json) -> None:
    patch = difference(base, wanted)
    assert merge(base, patch) == wanted
    assert difference(wanted, wanted) == {}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 12)), st.integers(0, 8))
def test_new_indices_fill_the_lowest_holes(taken: set[int], count: int) -> None:
    pods: list[Json] = [
        {"metadata": {"labels": {"grove.io/podclique-pod-index": str(index)}}, "spec": {}} for index in taken
    ]
    fresh = list(free_indices(pods, count))
    assert len(fresh) == count
    assert not taken & set(fresh)
    assert fresh == [i for i in range(30) if i not in taken][:count]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.uuids(), st.integers(0, 40), st.uuids())
def test_pod_names_are_stable_and_of_groves_shape(uid: Any, index: int, previous: Any) -> None:
    first = names.pod("web-0-decode", str(uid), index, "")
    assert re.fullmatch(r"web-0-decode-[a-z2-7]{5}", first)
    assert first == names.pod("web-0-decode", str(uid), index, "")
    assert first != names.pod("web-0-decode", str(uid), index, str(previous))
