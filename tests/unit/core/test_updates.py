"""An update of a PodClique or group is ended even when only its end was missed."""

from __future__ import annotations

from datetime import UTC, datetime

from grove_operator.api.constants import ANNOTATION_REPLACES_PLACED
from grove_operator.api.kinds import POD, Json
from grove_operator.core.cliques import standalone_clique
from grove_operator.core.observed import CliqueView, GroupView
from grove_operator.core.podclique import reconcile
from grove_operator.core.replica import scaling_group
from grove_operator.core.settings import Settings
from grove_operator.core.template import Template
from grove_operator.core.updates import clique_step, group_step
from tests.sim.shapes import clique, group, podcliqueset

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLDER: Json = {
    "podCliqueSetGenerationHash": "older",
    "podTemplateHash": "older",
    "updateStartedAt": "2025-01-01T00:00:00Z",
}


def noticed(template: Json) -> Template:
    template["metadata"]["uid"] = "set"
    found = Template.of(template)
    template["status"] = {"currentGenerationHash": found.generation_hash, "updateProgress": {"updateStartedAt": "x"}}
    template["status"]["updateProgress"]["currentlyUpdating"] = [{"replicaIndex": 0}]
    return found


def test_a_clique_whose_pods_are_all_new_ends_the_update_that_a_later_one_overtook() -> None:
    template = noticed(podcliqueset([clique("a", 1)]))
    obj = standalone_clique(template, 0, template.cliques[0])
    obj["metadata"]["uid"] = "clique"
    obj["status"] = {"updateProgress": OLDER}
    step = clique_step(CliqueView(template, obj), [], NOW)
    assert step.progress is not None
    assert step.progress["updateEndedAt"] == "2026-01-01T00:00:00Z"
    assert step.progress["podCliqueSetGenerationHash"] == template.generation_hash


def test_what_fills_a_hole_of_an_update_says_so_even_in_the_step_that_ends_it() -> None:
    """Found on the real API server: the last old pod was gone before its successor was made."""
    template = noticed(podcliqueset([clique("a", 1)]))
    obj = standalone_clique(template, 0, template.cliques[0])
    obj["metadata"]["uid"] = "clique"
    running = {**OLDER, "podCliqueSetGenerationHash": template.generation_hash}
    obj["status"] = {"replicas": 1, "updateProgress": running}
    outcome = reconcile(CliqueView(template, obj), NOW, Settings())
    assert "updateEndedAt" in outcome.status["updateProgress"]
    successor = next(child for child in outcome.children if child["kind"] == POD.kind)
    assert successor["metadata"]["annotations"][ANNOTATION_REPLACES_PLACED] == "true"


def test_a_group_of_which_nothing_is_old_ends_the_update_that_a_later_one_overtook() -> None:
    template = noticed(podcliqueset([clique("w", 1)], [group("g", ["w"], 1)]))
    obj = scaling_group(template, 0, template.groups[0])
    obj["metadata"]["uid"] = "group"
    obj["status"] = {"updateProgress": OLDER}
    begun = group_step(GroupView(template, obj), 0, template.groups[0], [{"w": None}], NOW)
    assert begun.progress is not None
    obj["status"] = {"updateProgress": begun.progress}
    step = group_step(GroupView(template, obj), 0, template.groups[0], [{"w": None}], NOW)
    assert step.progress is not None
    assert step.progress["updateEndedAt"] == "2026-01-01T00:00:00Z"
    assert step.progress["podCliqueSetGenerationHash"] == template.generation_hash
