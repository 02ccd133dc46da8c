"""Parts of one set whose objects could be called the same are refused; others never are."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grove_operator.api import names
from grove_operator.api.faults import parse
from grove_operator.api.kinds import Json
from grove_operator.api.name_clashes import clash_faults
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.validation import validate_podcliqueset
from tests.unit.api.manifests import clique, pcs

SCALING = {"minReplicas": 1, "maxReplicas": 2}
BOTH_SCALE = pcs(
    clique("x", autoScalingConfig=SCALING),
    clique("y"),
    groups=[{"name": "x", "cliqueNames": ["y"], "scaleConfig": SCALING}],
)


CLAIMS = pcs(
    clique("a") | {"resourceSharing": [{"name": "nics", "scope": "AllReplicas"}]},
    resourceSharing=[{"name": "a-all-nics", "scope": "PerReplica"}],
)
FINE_CLAIMS = pcs(
    clique("a") | {"resourceSharing": [{"name": "nics", "scope": "AllReplicas"}]},
    resourceSharing=[{"name": "nics", "scope": "PerReplica"}, {"name": "a-all-nics", "scope": "AllReplicas"}],
)


def grouped(standalone: list[str], groups: dict[str, list[str]]) -> Json:
    members = [name for cliques in groups.values() for name in cliques]
    listed = [{"name": name, "cliqueNames": cliques, "replicas": 3} for name, cliques in groups.items()]
    return pcs(*(clique(name) for name in [*standalone, *members]), groups=listed)


@pytest.mark.parametrize(
    ("manifest", "clashes"),
    [
        (grouped(["a-0-b"], {"a": ["b"]}), "PodClique web-N-a-0-b"),
        (grouped(["a-17-b"], {"a": ["b"]}), "PodClique web-N-a-17-b"),
        (grouped(["a-07-b"], {"a": ["b"]}), ""),
        (grouped(["a-x-b"], {"a": ["b"]}), ""),
        (grouped(["x"], {"a": ["1-c"], "a-0": ["c"]}), "PodClique web-N-a-0-1-c"),
        (grouped(["decode"], {"decode": ["b"]}), ""),
        (CLAIMS, "ResourceClaim web-N-a-all-nics"),
        (FINE_CLAIMS, ""),
        (BOTH_SCALE, "HorizontalPodAutoscaler web-N-x"),
    ],
)
def test_a_clash_names_the_object_that_both_would_need(manifest: Json, clashes: str) -> None:
    faults = validate_podcliqueset(manifest)
    assert len(faults) == bool(clashes)
    assert all(clashes in fault.message for fault in faults)


def test_a_set_that_lives_with_such_names_stays_changeable() -> None:
    manifest = grouped(["a-0-b"], {"a": ["b"]})
    assert validate_podcliqueset(manifest, manifest) == []


WORD = st.sampled_from(["a", "b", "0", "1", "01"])
NAME = st.lists(WORD, min_size=1, max_size=3).map("-".join)


@given(
    st.lists(NAME, min_size=1, max_size=2), st.dictionaries(NAME, st.lists(NAME, min_size=1, max_size=2), max_size=2)
)
@settings(max_examples=150, deadline=None)
@example(["a-0-b"], {"a": ["b"]})
def test_a_clash_is_told_exactly_when_two_objects_would_share_a_name(
    standalone: list[str], groups: dict[str, list[str]]
) -> None:
    """Counted out over all indices below 3, which is where these names' numbers lie."""
    every = [*standalone, *(name for cliques in groups.values() for name in cliques)]
    if len(set(every)) < len(every):
        return
    manifest = grouped(standalone, groups)
    model, _ = parse(PodCliqueSet, manifest)
    assert model is not None
    cliques, gangs = list[Any](), list[Any]()
    for i in range(2):
        gangs.append(names.base_pod_gang("web", i))
        cliques += [names.pod_clique("web", i, name) for name in standalone]
        for group, members in groups.items():
            gangs += [names.scaled_pod_gang("web", i, group, j, 1) for j in (1, 2)]
            cliques += [
                names.member_pod_clique("web", i, group, j, name) for j, name in itertools.product(range(3), members)
            ]
    is_unique = len(set(cliques)) == len(cliques) and len(set(gangs)) == len(gangs)
    assert bool(list(clash_faults(model))) is not is_unique
