"""v1alpha1 <-> v1beta1: nothing is lost on a round trip, and what somebody edits in between is the truth."""

from __future__ import annotations

import copy
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grove_operator.api.dynamo_conversion import ALPHA, BETA, SAID_IN, as_version, to_alpha, to_beta, without_nulls
from grove_operator.api.kinds import Json
from tests.unit.dynamo.conversions import graph

SEEDS = st.integers(0, 2**32)
OTHER = {ALPHA: BETA, BETA: ALPHA}
PARTS = {ALPHA: "services", BETA: "components"}


def parts(obj: Json) -> list[Json]:
    listed = obj["spec"].get(PARTS[obj["apiVersion"]]) or {}
    return list(listed.values()) if isinstance(listed, dict) else list(listed)


def without_notes(obj: Json) -> Json:
    out = copy.deepcopy(obj)
    annotations = out["metadata"].pop("annotations", None) or {}
    if kept := {key: value for key, value in annotations.items() if key not in SAID_IN.values()}:
        out["metadata"]["annotations"] = kept
    return out


@pytest.mark.parametrize("version", [ALPHA, BETA])
@given(seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_a_round_trip_gives_the_same_object_and_leaves_the_given_one_alone(version: str, seed: int) -> None:
    obj = graph(version, seed)
    given_one = copy.deepcopy(obj)
    there = as_version(obj, OTHER[version])
    assert obj == given_one
    assert there["metadata"].keys() == obj["metadata"].keys() | there["metadata"].keys()
    back = as_version(there, version)
    assert back == obj
    assert as_version(back, OTHER[version]) == there


@pytest.mark.parametrize("version", [ALPHA, BETA])
@given(seed=SEEDS, other=SEEDS)
@settings(max_examples=150, deadline=None)
@example(seed=3, other=7)
def test_what_is_edited_in_the_other_version_stays_as_edited(version: str, seed: int, other: int) -> None:
    """Every component takes some fields of another graph's: a stale note must not overwrite one of them."""
    there = as_version(graph(version, seed), OTHER[version])
    rnd = Random(other)
    donors = parts(graph(OTHER[version], other))
    for part in parts(there):
        donor = rnd.choice(donors) if donors else {}
        for field in sorted({*part, *donor} - {"name"}):
            if rnd.random() < 0.5:
                part.pop(field, None)
                if field in donor:
                    part[field] = donor[field]
    edited = without_nulls(there)
    back = as_version(edited, version)
    again = as_version(back, OTHER[version])
    assert without_notes(again) == without_notes(edited)


@given(seed=SEEDS)
@settings(max_examples=50, deadline=None)
def test_notes_that_cannot_be_read_are_as_good_as_none(seed: int) -> None:
    obj = graph(BETA, seed)
    for note in ("{", "[]", '{"components": 1, "order": 2, "graph": 3}', '{"components": {"a": {"pod": {"said": 1}}}}'):
        noted = copy.deepcopy(obj)
        noted["metadata"].setdefault("annotations", {})[SAID_IN[ALPHA]] = note
        assert without_notes(to_alpha(noted)) == without_notes(to_alpha(obj))


def test_an_edit_in_v1beta1_of_a_v1alpha1_graph_keeps_its_ingress_and_claims() -> None:
    service: Json = {"componentType": "main", "ingress": {"enabled": True}, "envs": [{"name": "A", "value": "1"}]}
    obj: Json = {"apiVersion": ALPHA, "metadata": {"name": "g"}, "spec": {"pvcs": [{"name": "p"}], "services": {}}}
    obj["spec"]["services"]["Web"] = service
    beta = to_beta(obj)
    (component,) = beta["spec"]["components"]
    component["replicas"] = 3
    component["podTemplate"]["spec"]["containers"][0]["env"] = [{"name": "B", "value": "2"}]
    assert to_alpha(beta)["spec"] == {
        "pvcs": [{"name": "p"}],
        "services": {
            "Web": {
                "componentType": "main",
                "ingress": {"enabled": True},
                "envs": [{"name": "B", "value": "2"}],
                "replicas": 3,
            }
        },
    }
