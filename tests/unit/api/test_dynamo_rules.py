"""Admission of DynamoGraphDeployments."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.validation import validate_clustertopologybinding, validate_dynamographdeployment
from tests.unit.api.manifests import TOPOLOGY, changed, graph, quickstart

S = "spec.services"


def test_the_quickstart_has_no_fault() -> None:
    assert validate_dynamographdeployment(quickstart()) == []


def test_any_component_type_is_accepted_and_nulls_count_as_absent() -> None:
    odd = graph(W={"componentType": "main", "subComponentType": None, "extraPodSpec": {"containers": None}})
    assert validate_dynamographdeployment(odd) == []


@pytest.mark.parametrize(
    ("place", "value", "field", "says"),
    [
        (f"{S}.Frontend.extraPodSpc", {}, f"{S}.Frontend.extraPodSpc", "did you mean extraPodSpec?"),
        (f"{S}.Frontend.flavour", 1, f"{S}.Frontend.flavour", "remove it; known here: annotations,"),
        (f"{S}.Frontend.resources", {"limits": {"gpu": 1}}, f"{S}.Frontend.resources.limits.gpu", '"1" in quotes'),
        (f"{S}.Frontend.resources", {"limits": {"gpu": "1.5"}}, f"{S}.Frontend.resources.limits.gpu", "whole number"),
        (f"{S}.Frontend.replicas", -1, f"{S}.Frontend.replicas", "greater than or equal to 0"),
        (f"{S}.Frontend.multinode", {"nodeCount": 1}, f"{S}.Frontend.multinode.nodeCount", "greater than or equal"),
        (f"{S}.my_service", {}, f"{S}.my_service", "not a DNS label"),
        (f"{S}.frontend", {}, f"{S}.frontend", "only by upper and lower case"),
        (
            f"{S}.Frontend.sharedMemory",
            {"disabled": True, "size": "1Gi"},
            f"{S}.Frontend.sharedMemory.size",
            "disabled",
        ),
        (f"{S}.Frontend.sharedMemory", {"size": "much"}, f"{S}.Frontend.sharedMemory.size", "not a quantity"),
        (f"{S}.Frontend.envs", [{"name": "A"}, {"name": "A"}], f"{S}.Frontend.envs[1].name", "twice"),
        ("spec.backendFramework", "jax", "spec.backendFramework", "'sglang', 'vllm' or 'trtllm'"),
        (
            "spec.pvcs",
            [{"create": True, "name": "c", "size": "1Gi", "storageClass": "s"}],
            "spec.pvcs[0].volumeAccessMode",
            "missing",
        ),
        ("spec.topologyConstraint", {"packDomain": "rack"}, "spec.topologyConstraint.topologyProfile", "missing"),
        (
            "spec.topologyConstraint",
            {"topologyProfile": "default", "packDomain": "row"},
            "spec.topologyConstraint.packDomain",
            "zone, block, rack",
        ),
    ],
)
def test_one_wrong_field_is_one_clear_fault(place: str, value: Any, field: str, says: str) -> None:
    (fault,) = validate_dynamographdeployment(changed(quickstart(), place, value), topologies={"default": TOPOLOGY})
    assert fault.field == field
    assert says in str(fault)


def test_a_restart_is_for_a_live_graph_and_names_every_service() -> None:
    new = changed(quickstart(), "spec.restart", {"id": "1", "strategy": {"order": ["Frontend"]}})
    (fault,) = validate_dynamographdeployment(new, quickstart())
    assert fault.field == "spec.restart.strategy.order"
    assert "every service" in fault.message
    plain = changed(quickstart(), "spec.restart", {"id": "1"})
    assert validate_dynamographdeployment(plain, quickstart()) == []
    assert [f.field for f in validate_dynamographdeployment(plain)] == ["spec.restart"]


@pytest.mark.parametrize(("length", "fits"), [(37, True), (38, False)])
def test_a_service_name_leaves_eight_characters_for_a_shortened_graph(length: int, fits: bool) -> None:
    faults = validate_dynamographdeployment(graph(**{"s" * length: {}}))
    assert [fault.field for fault in faults] == ([] if fits else [f"{S}.{'s' * length}"])
    assert fits or "is too long" in faults[0].message


def test_a_multinode_service_name_counts_twice() -> None:
    name = "s" * 17  # 2 * 17 + 4 = 38, and 8 for the graph: one more than 45
    (fault,) = validate_dynamographdeployment(graph(**{name: {"multinode": {"nodeCount": 2}}}))
    assert "takes 38 of the 45 characters" in fault.message
    assert validate_dynamographdeployment(graph(**{name[:-1]: {"multinode": {"nodeCount": 2}}})) == []


def test_names_that_become_labels_or_services_stay_below_64_characters() -> None:
    long = graph(**{"s" * 30: {}})
    long["metadata"]["name"] = "g" * 33
    (fault,) = validate_dynamographdeployment(long)
    assert fault.field == f"{S}.{'s' * 30}"
    assert "Service name of 64 characters" in fault.message
    long["metadata"] |= {"name": "g" * 31, "namespace": "n" * 32}
    (fault,) = validate_dynamographdeployment(long)
    assert fault.field == "metadata.name"
    assert "label of 64 characters" in fault.message


def test_replicas_of_an_adapter_are_changed_by_the_operator_and_planners_alone() -> None:
    old = graph(Decode={"replicas": 1, "scalingAdapter": {"enabled": True}})
    new = graph(Decode={"replicas": 3, "scalingAdapter": {"enabled": True}})
    assert validate_dynamographdeployment(new, old) == []
    for user in ("system:serviceaccount:a:planner-serviceaccount", "system:serviceaccount:grove-system:grove-operator"):
        assert validate_dynamographdeployment(new, old, user=user) == []
    (fault,) = validate_dynamographdeployment(new, old, user="kubernetes-admin")
    assert "kubectl scale dgdsa dynamo-grove-decode --replicas 3" in fault.remedy
    off = graph(Decode={"replicas": 3})
    assert validate_dynamographdeployment(off, old, user="kubernetes-admin") == []


@pytest.mark.parametrize(
    ("services", "field"),
    [
        ({"W": {"gpuMemoryService": {"enabled": True}}}, f"{S}.W.gpuMemoryService"),
        ({"W": {"failover": {"enabled": True}}}, f"{S}.W.failover"),
        ({"W": {"checkpoint": {"enabled": True}}}, f"{S}.W.checkpoint"),
        ({"W": {"ingress": {"enabled": True, "useVirtualService": True}}}, f"{S}.W.ingress.useVirtualService"),
        ({"E": {"componentType": "epp"}}, f"{S}.E.eppConfig"),
    ],
)
def test_what_is_left_out_here_is_refused_with_the_way_out(services: Any, field: str) -> None:
    (fault,) = validate_dynamographdeployment(graph(**services))
    assert fault.field == field
    assert fault.remedy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nvidia.com/enable-grove", "False"),
        ("nvidia.com/vllm-distributed-executor-backend", "multiproc"),
        ("nvidia.com/grove-update-strategy", "Recreate"),
        ("nvidia.com/dynamo-kube-discovery-mode", "node"),
        ("nvidia.com/dynamo-discovery-backend", "consul"),
        ("nvidia.com/dynamo-operator-origin-version", "latest"),
    ],
)
def test_an_annotation_that_decides_something_is_spelled_as_known(key: str, value: str) -> None:
    one = graph(W={})
    one["metadata"]["annotations"] = {key: value}
    (fault,) = validate_dynamographdeployment(one)
    assert fault.field == f"metadata.annotations.{key}"


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (f"{S}.Another", {}, f"{S}.Another"),
        (f"{S}.Frontend.multinode", {"nodeCount": 2}, f"{S}.Frontend.multinode"),
        (f"{S}.Frontend.topologyConstraint", {"packDomain": "rack"}, f"{S}.Frontend.topologyConstraint"),
    ],
)
def test_the_shape_of_a_live_graph_is_fixed(place: str, value: Any, field: str) -> None:
    new = changed(quickstart(), place, value)
    if "topologyConstraint" in place:
        profile = {"topologyProfile": "default", "packDomain": "zone"}
        new = changed(new, "spec.topologyConstraint", profile)
        old = changed(quickstart(), "spec.topologyConstraint", profile)
    else:
        old = quickstart()
    faults = validate_dynamographdeployment(new, old)
    assert [(fault.field, fault.reason) for fault in faults] == [(field, "Forbidden")]


def test_replicas_and_images_of_a_live_graph_may_change() -> None:
    assert (
        validate_dynamographdeployment(changed(quickstart(), f"{S}.VllmDecodeWorker.replicas", 4), quickstart()) == []
    )


def test_levels_and_keys_of_a_topology_are_unique() -> None:
    doubled = changed(TOPOLOGY, "spec.levels.1", TOPOLOGY["spec"]["levels"][0])
    assert validate_clustertopologybinding(TOPOLOGY) == []
    assert [(fault.field, fault.reason) for fault in validate_clustertopologybinding(doubled)] == [
        ("spec.levels[1].domain", "Duplicate"),
        ("spec.levels[1].key", "Duplicate"),
    ]


def test_a_topology_binds_only_schedulers_that_know_topologies() -> None:
    entry = {"schedulerName": "default-scheduler", "topologyReference": "x"}
    (fault,) = validate_clustertopologybinding(changed(TOPOLOGY, "spec.schedulerTopologyBindings", [entry]))
    assert fault.field == "spec.schedulerTopologyBindings[0].schedulerName"


def with_override(patch: Any, **more: Any) -> Any:
    override = {"apiVersion": "grove.io/v1alpha1", "target": "PodCliqueSet", "patch": patch} | more
    return changed(quickstart(), "spec.providerOverride", override)


def topology_patch(**constraint: Any) -> Any:
    return {"spec": {"template": {"topologyConstraint": constraint}}}


PATCHED = "spec.providerOverride.patch.spec.template.topologyConstraint"


def test_an_override_may_prefer_a_level_of_the_topology() -> None:
    preferred = with_override(topology_patch(topologyName="default", pack={"preferred": "rack"}))
    assert validate_dynamographdeployment(preferred, topologies={"default": TOPOLOGY}) == []


@pytest.mark.parametrize(
    ("graph", "field", "reason"),
    [
        (with_override({"spec": {"replicas": 2}}), "spec.providerOverride.patch", "Forbidden"),
        (with_override({"spec": {}}), "spec.providerOverride.patch", "Required"),
        (
            with_override(topology_patch(topologyName="default", pack={"preferred": "rack"}), target="PodClique"),
            "spec.providerOverride.target",
            "NotSupported",
        ),
        (with_override(topology_patch(pack={"preferred": "rack"})), f"{PATCHED}.topologyName", "Required"),
        (
            with_override(topology_patch(topologyName="no", pack={"preferred": "rack"})),
            f"{PATCHED}.topologyName",
            "Invalid",
        ),
        (
            with_override(topology_patch(topologyName="default", pack={"preferred": "aisle"})),
            f"{PATCHED}.pack.preferred",
            "Invalid",
        ),
        (with_override(topology_patch(topologyName="default", pak={})), f"{PATCHED}.pak", "Invalid"),
    ],
)
def test_an_override_may_change_nothing_else(graph: Any, field: str, reason: str) -> None:
    faults = validate_dynamographdeployment(graph, topologies={"default": TOPOLOGY})
    assert (field, reason) in [(fault.field, fault.reason) for fault in faults]


def test_the_override_of_a_live_graph_is_fixed() -> None:
    new = with_override(topology_patch(topologyName="default", pack={"preferred": "rack"}))
    (fault,) = validate_dynamographdeployment(new, quickstart())
    assert (fault.field, fault.reason) == ("spec.providerOverride", "Forbidden")
