"""Fields of earlier and later releases of Grove: update budgets, Coherent, spreading of replicas."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.core_schemas import as_stored, core_schema
from grove_operator.api.defaults import schema_defaults
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.validation import advise_podcliqueset, validate_podcliqueset
from tests.unit.api.manifests import changed, clique, leader_worker, pcs

T = "spec.template"
COHERENT = {"type": "Coherent"}
GROUP = f"{T}.podCliqueScalingGroups.0"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("spec.updateStrategy", COHERENT),
        (f"{T}.cliques.0.rollingUpdate", {}),
        (f"{T}.cliques.0.rollingUpdate", {"maxUnavailable": 1, "progressDeadline": "10m"}),
        (f"{GROUP}.rollingUpdate", {"maxUnavailable": 2}),
        ("spec.replicaSpreadConstraints", [{"topologyKey": "topology.kubernetes.io/zone"}]),
        (
            "spec.replicaSpreadConstraints",
            [
                {"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"},
                {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
            ],
        ),
    ],
)
def test_these_are_accepted_and_may_change_later(place: str, value: Any) -> None:
    new = changed(leader_worker(), place, value)
    assert validate_podcliqueset(new) == []
    assert validate_podcliqueset(new, leader_worker()) == []


@pytest.mark.parametrize(
    ("place", "value", "field", "reason"),
    [
        (f"{T}.cliques.1.rollingUpdate", {}, f"{T}.cliques[1].rollingUpdate", "Forbidden"),
        (
            f"{T}.cliques.0.rollingUpdate",
            {"maxUnavailable": 0},
            f"{T}.cliques[0].rollingUpdate.maxUnavailable",
            "Invalid",
        ),
        (
            f"{T}.podCliqueScalingGroups.0.rollingUpdate",
            {"progressDeadline": "0s"},
            f"{T}.podCliqueScalingGroups[0].rollingUpdate.progressDeadline",
            "Invalid",
        ),
        ("spec.replicaSpreadConstraints", [{}], "spec.replicaSpreadConstraints[0].topologyKey", "Required"),
        (
            "spec.replicaSpreadConstraints",
            [{"topologyKey": "a b"}],
            "spec.replicaSpreadConstraints[0].topologyKey",
            "Invalid",
        ),
        (
            "spec.replicaSpreadConstraints",
            [{"topologyKey": "zone", "whenUnsatisfiable": "Never"}],
            "spec.replicaSpreadConstraints[0].whenUnsatisfiable",
            "NotSupported",
        ),
        (
            "spec.replicaSpreadConstraints",
            [{"topologyKey": "zone", "maxSkew": 0}],
            "spec.replicaSpreadConstraints[0].maxSkew",
            "Invalid",
        ),
        (
            "spec.replicaSpreadConstraints",
            [{"topologyKey": "zone"}, {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "spec.replicaSpreadConstraints[1]",
            "Duplicate",
        ),
    ],
)
def test_these_are_refused(place: str, value: Any, field: str, reason: str) -> None:
    (fault,) = validate_podcliqueset(changed(leader_worker(), place, value))
    assert (fault.field, fault.reason) == (field, reason)


@pytest.mark.parametrize(("most", "is_fine"), [(1, False), (2, True), (3, True)])
def test_a_coherent_step_takes_at_least_the_minimum_along(most: int, is_fine: bool) -> None:
    budget = {"maxUnavailable": most}
    wide = clique("a", replicas=4, minAvailable=2) | {"rollingUpdate": budget}
    manifest = pcs(wide)
    assert validate_podcliqueset(manifest) == [], "one after the other any budget will do"
    faults = validate_podcliqueset(changed(manifest, "spec.updateStrategy", COHERENT))
    assert (faults == []) is is_fine


def test_spreading_is_a_preference_with_a_skew_of_one_unless_said_otherwise() -> None:
    given = changed(leader_worker(), "spec.replicaSpreadConstraints", [{"topologyKey": "zone"}])
    (stored,) = schema_defaults(PodCliqueSet, given)["spec"]["replicaSpreadConstraints"]
    assert stored == {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}


def test_parts_of_a_spread_constraint_that_speak_of_pods_are_advised_against() -> None:
    constraint = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, "minDomains": 2}
    said = advise_podcliqueset(changed(leader_worker(), "spec.replicaSpreadConstraints", [constraint]))
    assert [advice.field for advice in said] == [
        "spec.replicaSpreadConstraints[0].labelSelector",
        "spec.replicaSpreadConstraints[0].minDomains",
    ]


def test_a_drivers_own_parameters_survive_in_a_claim_template() -> None:
    """They have no schema: a structural one that doesn't say so would have the API server drop them."""
    opaque = {"driver": "gpu.nvidia.com", "parameters": {"apiVersion": "x/v1", "sharing": {"strategy": "MPS"}}}
    spec = {"spec": {"devices": {"config": [{"opaque": opaque}]}}}
    assert as_stored(core_schema("ResourceClaimTemplateSpec"), spec) == spec
