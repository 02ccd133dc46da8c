"""Twenty PodCliqueSets, each with its whole object graph: as a person wrote it down, and as it was recorded."""

from __future__ import annotations

import pytest

from tests.golden.graph import STORIES, STORIES_FOLDER, expectation, faults, lacks, normal, shown
from tests.golden.record import play


@pytest.mark.parametrize("story", STORIES)
async def test_a_story_becomes_the_graph_that_was_written_down_by_hand(story: str) -> None:
    graph = normal(await play(story))
    assert faults(expectation(story), graph) == []
    recorded = (STORIES_FOLDER / story / "graph.yaml").read_text()
    assert shown(graph) == recorded, "read the difference, then: python -m tests.golden.record"


async def test_an_expectation_misses_nothing_that_is_planted() -> None:
    """Each of these must be noticed, or the stories could not fail."""
    expect, graph = expectation("worked-example"), normal(await play("worked-example"))
    for planted in (
        {k: v for k, v in graph.items() if k != "Service/svc-0"},
        graph | {"Service/stray": graph["Service/svc-0"]},
        {k: v for k, v in graph.items() if k != "Pod/svc-0-fe-1"},
        graph | {"PodClique/svc-0-pre-1-work": {**graph["PodClique/svc-0-pre-1-work"], "spec": {}}},
    ):
        assert faults(expect, planted)
    assert list(lacks({"a": [1, 2]}, {"a": [1]})) == [".a is [1, 2], should be [1]"]
    assert list(lacks({"a": 1}, {"a": None})) == [".a is 1, should be absent"]
