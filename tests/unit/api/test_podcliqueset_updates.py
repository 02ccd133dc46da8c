"""What a live PodCliqueSet may change, and what it may not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from grove_operator.api.validation import validate_podcliqueset
from tests.unit.api.manifests import TOPOLOGY, changed, clique, leader_worker, pcs

T = "spec.template"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("spec.replicas", 3),
        (f"{T}.cliques.0.spec.replicas", 4),
        (f"{T}.cliques.0.labels", {"a": "b"}),
        (f"{T}.cliques.0.spec.podSpec.containers.0.image", "example.test/serve:2"),
        (f"{T}.podCliqueScalingGroups.0.replicas", 5),
        (f"{T}.priorityClassName", "high"),
        (f"{T}.terminationDelay", "10m"),
        (f"{T}.headlessServiceConfig.publishNotReadyAddresses", False),
        ("spec.updateStrategy", {"type": "OnDelete"}),
    ],
)
def test_these_fields_may_change(place: str, value: Any) -> None:
    assert validate_podcliqueset(changed(leader_worker(), place, value), leader_worker()) == []


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (f"{T}.cliqueStartupType", "CliqueStartupTypeInOrder", f"{T}.cliqueStartupType"),
        (f"{T}.cliques.0.name", "gateway", f"{T}.cliques[0].name"),
        (f"{T}.cliques.0.spec.roleName", "gateway", f"{T}.cliques[0].spec.roleName"),
        (f"{T}.cliques.2.spec.minAvailable", 2, f"{T}.cliques[2].spec.minAvailable"),
        (f"{T}.cliques.0.spec.startsAfter", ["leader"], f"{T}.cliques[0].spec.startsAfter"),
        (
            f"{T}.podCliqueScalingGroups.0.cliqueNames",
            ["worker", "leader"],
            f"{T}.podCliqueScalingGroups[0].cliqueNames",
        ),
        (f"{T}.podCliqueScalingGroups.0.minAvailable", 2, f"{T}.podCliqueScalingGroups[0].minAvailable"),
        (
            f"{T}.topologyConstraint",
            {"topologyName": "default", "pack": {"required": "rack"}},
            f"{T}.topologyConstraint",
        ),
        (
            f"{T}.cliques.0.annotations",
            {"grove.io/mnnvl-group": "g"},
            f"{T}.cliques[router].annotations[grove.io/mnnvl-group]",
        ),
    ],
)
def test_these_fields_are_fixed_at_creation(place: str, value: Any, field: str) -> None:
    (fault,) = validate_podcliqueset(changed(leader_worker(), place, value), leader_worker())
    assert fault.field == field
    assert "create it anew" in fault.remedy


def test_cliques_cannot_be_added_or_removed() -> None:
    (fault,) = validate_podcliqueset(pcs(clique("a"), clique("b")), pcs(clique("a")))
    assert (fault.field, fault.reason) == (f"{T}.cliques", "Forbidden")


def test_cliques_may_be_reordered_unless_their_order_has_a_meaning() -> None:
    assert validate_podcliqueset(pcs(clique("b"), clique("a")), pcs(clique("a"), clique("b"))) == []
    ordered = {"cliqueStartupType": "CliqueStartupTypeInOrder"}
    faults = validate_podcliqueset(pcs(clique("b"), clique("a"), **ordered), pcs(clique("a"), clique("b"), **ordered))
    assert [fault.field for fault in faults] == [f"{T}.cliques[0]", f"{T}.cliques[1]"]


def test_structural_faults_come_before_transition_faults() -> None:
    broken = changed(changed(leader_worker(), "spec.replicas", -1), f"{T}.cliques.0.name", "gateway")
    assert [fault.field for fault in validate_podcliqueset(broken, leader_worker())] == ["spec.replicas"]


def test_the_deprecated_field_may_be_rewritten_as_the_new_one() -> None:
    old = pcs(clique("a"), topologyConstraint={"topologyName": "default", "packDomain": "rack"})
    new = pcs(clique("a"), topologyConstraint={"topologyName": "default", "pack": {"required": "rack"}})
    other = pcs(clique("a"), topologyConstraint={"topologyName": "default", "pack": {"required": "block"}})
    assert validate_podcliqueset(new, old) == []
    assert [fault.field for fault in validate_podcliqueset(other, old)] == [f"{T}.topologyConstraint"]


def test_a_nameless_old_constraint_has_to_be_repaired_first() -> None:
    old = pcs(clique("a"), topologyConstraint={"packDomain": "rack"})
    repaired = pcs(clique("a"), topologyConstraint={"topologyName": "default", "packDomain": "rack"})
    assert validate_podcliqueset(repaired, old, topologies={"default": TOPOLOGY}) == []
    scaled = changed(copy.deepcopy(old), "spec.replicas", 2)
    assert [fault.reason for fault in validate_podcliqueset(scaled, old)] == ["Required"]
