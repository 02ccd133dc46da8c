"""Each rule of PodCliqueSet admission: a valid set, one change, one fault at the field the user has to touch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from grove_operator.api.config import parse_config
from grove_operator.api.validation import validate_podcliqueset
from tests.unit.api.manifests import TOPOLOGY, changed, clique, leader_worker, pcs

T = "spec.template"
SCALING = {"minReplicas": 1, "maxReplicas": 4}


def test_a_leader_worker_set_has_no_fault() -> None:
    assert validate_podcliqueset(leader_worker()) == []


@pytest.mark.parametrize(
    ("place", "value", "field", "reason"),
    [
        ("spec.replicas", -1, "spec.replicas", "Invalid"),
        ("metadata.name", "Web", "metadata.name", "Invalid"),
        ("metadata.name", "we.b", "metadata.name", "Invalid"),
        (f"{T}.cliqueStartupType", "Later", f"{T}.cliqueStartupType", "NotSupported"),
        (f"{T}.terminationDelay", "0s", f"{T}.terminationDelay", "Invalid"),
        (f"{T}.terminationDelay", "soon", f"{T}.terminationDelay", "Invalid"),
        (f"{T}.cliques.0.name", "Router", f"{T}.cliques[0].name", "Invalid"),
        (f"{T}.cliques.0.name", " ", f"{T}.cliques[0].name", "Required"),
        (f"{T}.cliques.0.labels", {"a b": "c"}, f"{T}.cliques[0].labels", "Invalid"),
        (f"{T}.cliques.0.spec.replicas", "2", f"{T}.cliques[0].spec.replicas", "Invalid"),
        (f"{T}.cliques.0.spec.replicas", -2, f"{T}.cliques[0].spec.replicas", "Invalid"),
        (f"{T}.cliques.0.spec.minAvailable", 2, f"{T}.cliques[0].spec.minAvailable", "Invalid"),
        (f"{T}.cliques.0.spec.minAvailable", 0, f"{T}.cliques[0].spec.minAvailable", "Invalid"),
        (f"{T}.cliques.0.spec.roleName", "leader", f"{T}.cliques[1].spec.roleName", "Duplicate"),
        (f"{T}.cliques.0.spec.podSpec.nodeName", "n1", f"{T}.cliques[0].spec.podSpec.nodeName", "Invalid"),
        (
            f"{T}.cliques.0.spec.podSpec.topologySpreadConstraints",
            [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            f"{T}.cliques[0].spec.podSpec.topologySpreadConstraints",
            "Invalid",
        ),
        (
            f"{T}.cliques.0.spec.podSpec.containers.0.env",
            [{"name": "A"}, {"name": "A"}],
            f"{T}.cliques[0].spec.podSpec.containers[0].env[1].name",
            "Duplicate",
        ),
        (
            f"{T}.cliques.1.spec.podSpec.schedulerName",
            "volcano",
            f"{T}.cliques[1].spec.podSpec.schedulerName",
            "Invalid",
        ),
        (
            f"{T}.cliques.0.spec.autoScalingConfig",
            {"minReplicas": 0, "maxReplicas": 4},
            f"{T}.cliques[0].spec.autoScalingConfig.minReplicas",
            "Invalid",
        ),
        (
            f"{T}.cliques.0.spec.autoScalingConfig",
            {"minReplicas": 3, "maxReplicas": 2},
            f"{T}.cliques[0].spec.autoScalingConfig.maxReplicas",
            "Invalid",
        ),
        (
            f"{T}.cliques.1.spec.autoScalingConfig",
            SCALING,
            f"{T}.podCliqueScalingGroups[0].cliqueNames[0]",
            "Invalid",
        ),
        (
            f"{T}.podCliqueScalingGroups.0.cliqueNames",
            ["leader", "wrker"],
            f"{T}.podCliqueScalingGroups[0].cliqueNames[1]",
            "Invalid",
        ),
        (f"{T}.podCliqueScalingGroups.0.minAvailable", 3, f"{T}.podCliqueScalingGroups[0].minAvailable", "Invalid"),
        (f"{T}.podCliqueScalingGroups.0.replicas", 0, f"{T}.podCliqueScalingGroups[0].replicas", "Invalid"),
        (f"{T}.podCliqueScalingGroups.0.name", "De", f"{T}.podCliqueScalingGroups[0].name", "Invalid"),
        (
            f"{T}.podCliqueScalingGroups.0.scaleConfig",
            {"minReplicas": 2, "maxReplicas": 1},
            f"{T}.podCliqueScalingGroups[0].scaleConfig.maxReplicas",
            "Invalid",
        ),
        (f"{T}.cliques.0.annotations", {"grove.io/mnnvl-group": "A_b"}, f"{T}.cliques[router].annotations", "Invalid"),
    ],
)
def test_one_wrong_field_is_one_fault_there(place: str, value: Any, field: str, reason: str) -> None:
    faults = validate_podcliqueset(changed(leader_worker(), place, value))
    found = {(fault.field.removesuffix("[grove.io/mnnvl-group]"), fault.reason) for fault in faults}
    assert (field, reason) in found
    assert all(fault.message and fault.remedy for fault in faults)


def test_faults_are_reported_together() -> None:
    broken = changed(changed(leader_worker(), "spec.replicas", -1), f"{T}.cliques.0.spec.minAvailable", 9)
    assert [fault.field for fault in validate_podcliqueset(broken)] == [
        "spec.replicas",
        f"{T}.cliques[0].spec.minAvailable",
    ]


def test_an_unknown_field_is_named_with_its_likely_meaning_and_hides_nothing_else() -> None:
    broken = changed(changed(leader_worker(), f"{T}.cliques.0.spec.minAvailble", 1), "spec.replicas", -1)
    first, second = validate_podcliqueset(broken)
    assert str(first) == f"{T}.cliques[0].spec.minAvailble: unknown field; did you mean minAvailable?"
    assert second.field == "spec.replicas"


@pytest.mark.parametrize(("length", "fits"), [(45, True), (46, False)])
def test_names_of_set_and_clique_share_45_characters(length: int, fits: bool) -> None:
    name = "n" * (length - len("router"))
    faults = validate_podcliqueset(pcs(clique("router"), name=name))
    assert (faults == []) is fits
    assert fits or "1 more than the 45 that fit" in faults[0].message


@pytest.mark.parametrize(("length", "fits"), [(45, True), (46, False)])
def test_names_of_set_group_and_member_share_45_characters(length: int, fits: bool) -> None:
    name = "n" * (length - len("decode") - len("leader"))
    group = {"name": "decode", "cliqueNames": ["leader"]}
    faults = validate_podcliqueset(pcs(clique("leader"), name=name, groups=[group]))
    assert (faults == []) is fits
    assert fits or faults[0].field == f"{T}.podCliqueScalingGroups[0].cliqueNames[0]"


def test_cliques_may_not_wait_for_each_other() -> None:
    ring = pcs(
        clique("a", startsAfter=["b"]),
        clique("b", startsAfter=["c"]),
        clique("c", startsAfter=["a"]),
        cliqueStartupType="CliqueStartupTypeExplicit",
    )
    (fault,) = validate_podcliqueset(ring)
    assert fault.field == f"{T}.cliques"
    arrows = fault.message.partition(": ")[2].split(" -> ")
    waits_for = {"a": "b", "b": "c", "c": "a"}
    assert all(waits_for[before] == after for before, after in pairwise(arrows))


def test_starts_after_is_only_judged_when_the_order_is_explicit() -> None:
    assert validate_podcliqueset(pcs(clique("a", startsAfter=["nobody"]))) == []
    explicit = pcs(clique("a", startsAfter=["nobody", "a"]), cliqueStartupType="CliqueStartupTypeExplicit")
    assert {fault.field for fault in validate_podcliqueset(explicit)} == {
        f"{T}.cliques[0].spec.startsAfter",
        f"{T}.cliques[0].spec.startsAfter[1]",
    }


def test_a_scheduler_must_be_enabled_when_the_configuration_is_known() -> None:
    manifest = pcs(clique("a", pod={"schedulerName": "volcano"}))
    assert validate_podcliqueset(manifest) == []
    (fault,) = validate_podcliqueset(manifest, config=parse_config({}))
    assert "not enabled" in fault.message


def test_shared_claims_refer_to_what_exists() -> None:
    request = {"spec": {"devices": {"requests": [{"name": "gpu"}]}}}
    manifest = pcs(
        clique("a"),
        resourceClaimTemplates=[
            {"name": "nics", "templateSpec": request},
            {"name": "nics", "templateSpec": {"spec": {}}},
        ],
        resourceSharing=[
            {"name": "nics", "namespace": "x", "scope": "PerReplica", "filter": {"childCliqueNames": ["b"]}},
            {"name": "nics", "scope": "AllReplicas", "filter": {}},
        ],
    )
    assert [(fault.field.removeprefix(f"{T}."), fault.reason) for fault in validate_podcliqueset(manifest)] == [
        ("resourceClaimTemplates[1].name", "Duplicate"),
        ("resourceClaimTemplates[1].templateSpec.spec.devices.requests", "Required"),
        ("resourceSharing[0].namespace", "Invalid"),
        ("resourceSharing[1].name", "Duplicate"),
        ("resourceSharing[0].filter.childCliqueNames[0]", "NotFound"),
        ("resourceSharing[1].filter", "Required"),
    ]


class TestTopology:
    known = {"default": TOPOLOGY}  # noqa: RUF012

    def constrained(self, outer: dict[str, Any], inner: dict[str, Any] | None = None) -> Any:
        member = clique("a") | ({"topologyConstraint": inner} if inner else {})
        return pcs(member, topologyConstraint=outer)

    def test_an_inherited_topology_with_nested_levels_is_fine(self) -> None:
        manifest = self.constrained(
            {"topologyName": "default", "pack": {"required": "block"}}, {"pack": {"required": "rack"}}
        )
        assert validate_podcliqueset(manifest, topologies=self.known) == []

    def test_an_unknown_level_is_named_with_the_levels_there_are(self) -> None:
        manifest = self.constrained({"topologyName": "default", "pack": {"preferred": "row"}})
        (fault,) = validate_podcliqueset(manifest, topologies=self.known)
        assert fault.field == f"{T}.topologyConstraint.pack.preferred"
        assert fault.remedy == "use one of zone, block, rack"
        assert validate_podcliqueset(manifest) == [], "without topologies their levels aren't judged"

    def test_a_topology_must_exist(self) -> None:
        manifest = self.constrained({"topologyName": "other", "pack": {"required": "rack"}})
        (fault,) = validate_podcliqueset(manifest, topologies=self.known)
        assert fault.field == f"{T}.topologyConstraint.topologyName"

    def test_a_parent_may_not_be_narrower_than_its_child(self) -> None:
        manifest = self.constrained(
            {"topologyName": "default", "pack": {"required": "rack"}}, {"pack": {"required": "block"}}
        )
        (fault,) = validate_podcliqueset(manifest, topologies=self.known)
        assert fault.field == f"{T}.topologyConstraint"

    def test_required_is_not_compared_with_preferred(self) -> None:
        manifest = self.constrained(
            {"topologyName": "default", "pack": {"preferred": "rack"}}, {"pack": {"required": "block"}}
        )
        assert validate_podcliqueset(manifest, topologies=self.known) == []

    def test_a_constraint_needs_a_name_from_somewhere(self) -> None:
        (fault,) = validate_podcliqueset(self.constrained({"pack": {"required": "rack"}}))
        assert (fault.field, fault.reason) == (f"{T}.topologyConstraint.topologyName", "Required")

    def test_one_set_uses_one_topology(self) -> None:
        manifest = self.constrained(
            {"topologyName": "default", "pack": {"required": "rack"}},
            {"topologyName": "other", "pack": {"required": "rack"}},
        )
        (fault,) = validate_podcliqueset(manifest, topologies=self.known)
        assert fault.field == f"{T}.cliques[0].topologyConstraint.topologyName"

    def test_the_deprecated_field_is_refused_on_new_objects_and_kept_on_old_ones(self) -> None:
        manifest = self.constrained({"topologyName": "default", "packDomain": "rack"})
        (fault,) = validate_podcliqueset(manifest, topologies=self.known)
        assert fault.reason == "Forbidden"
        assert validate_podcliqueset(manifest, manifest, topologies=self.known) == []

    def test_nothing_is_allowed_when_the_operator_has_topologies_switched_off(self) -> None:
        manifest = self.constrained({"topologyName": "default", "pack": {"required": "rack"}})
        off = parse_config({"topologyAwareScheduling": {"enabled": False}})
        (fault,) = validate_podcliqueset(manifest, config=off)
        assert "disabled" in fault.message
