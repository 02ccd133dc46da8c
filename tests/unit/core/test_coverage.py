"""What a topology covers of a cluster, level by level."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.core.coverage import LevelCoverage, coverage, coverage_condition

BINDING: dict[str, Any] = {
    "metadata": {"name": "default", "generation": 3},
    "spec": {"levels": [{"domain": "block", "key": "b"}, {"domain": "rack", "key": "r"}]},
}
WHOLE = [{"b": "b0", "r": "r0"}, {"b": "b0", "r": "r1"}, {"b": "b1", "r": "r2"}]


def test_nodes_and_domains_are_counted_for_each_level() -> None:
    assert coverage(BINDING, [*WHOLE, {"b": "b1"}, {"r": ""}]) == [
        LevelCoverage("block", "b", nodes=4, domains=2),
        LevelCoverage("rack", "r", nodes=3, domains=3),
    ]


@pytest.mark.parametrize(
    ("labels", "status", "reason", "said"),
    [
        (WHOLE, "True", "AllNodesCovered", "of 3 nodes: block 3 in 2 domains, rack 3 in 3 domains"),
        ([*WHOLE, {"b": "b1"}], "False", "SomeNodesNotCovered", "rack 3 in 3 domains; label the other nodes with r"),
        ([{"b": "b0"}], "False", "LevelWithoutNodes", "block 1 in 1 domain, rack 0 in 0 domains; no node has the la"),
        ([], "False", "NoNodes", "the cluster has no nodes"),
    ],
)
def test_the_condition_says_what_is_covered_and_what_to_do(
    labels: list[dict[str, str]], status: str, reason: str, said: str
) -> None:
    found = coverage_condition(BINDING, labels)
    assert (found["type"], found["status"], found["reason"]) == ("NodesCovered", status, reason)
    assert said in found["message"]
    assert found["observedGeneration"] == 3
