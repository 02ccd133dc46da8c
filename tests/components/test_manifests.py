"""The pure part: what the components write."""

from __future__ import annotations

import json

import pytest

from grove_components import manifests
from grove_operator.api.crds import all_crds
from grove_operator.api.install import install_manifests


def test_a_property_called_description_survives_when_descriptions_are_stripped() -> None:
    schema = {
        "description": "gone",
        "properties": {
            "description": {"type": "string", "description": "gone too"},
            "properties": {"type": "object", "properties": {"description": {"type": "string"}}},
        },
    }
    crd = {"kind": "CustomResourceDefinition", "spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}

    stripped = manifests.without_descriptions(crd)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    assert stripped == {
        "properties": {
            "description": {"type": "string"},
            "properties": {"type": "object", "properties": {"description": {"type": "string"}}},
        }
    }


def test_stripping_descriptions_makes_every_crd_smaller_and_loses_no_property() -> None:
    for crd in all_crds():
        stripped = manifests.without_descriptions(crd)
        assert len(json.dumps(stripped)) < len(json.dumps(crd))
        assert property_paths(stripped) == property_paths(crd)


def property_paths(node: object, path: str = "") -> set[str]:
    found: set[str] = set()
    if isinstance(node, dict):
        properties = node.get("properties")
        found |= {f"{path}.{name}" for name in properties} if isinstance(properties, dict) else set()
        for key, value in node.items():
            found |= property_paths(value, f"{path}.{key}")
    if isinstance(node, list):
        for i, item in enumerate(node):
            found |= property_paths(item, f"{path}[{i}]")
    return found


def test_the_operator_is_installed_in_an_order_in_which_it_can_come_up() -> None:
    stages = manifests.install_stages(install_manifests())

    kinds = [sorted({m["kind"] for m in stage}) for stage in stages]
    assert kinds[0] == ["Namespace"]
    assert "ClusterRole" in kinds[1]
    assert "ConfigMap" in kinds[2]
    assert kinds[3] == ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
    assert kinds[4] == ["Deployment"]
    assert sum(map(len, stages)) == len(install_manifests())
    assert all(m["metadata"]["annotations"][manifests.WAIT_FOR] == "condition=Available" for m in stages[4])


def test_an_object_of_a_kind_without_a_stage_is_an_error_and_not_left_out() -> None:
    with pytest.raises(ValueError, match="DaemonSet agent: no install stage"):
        manifests.install_stages([{"kind": "DaemonSet", "metadata": {"name": "agent"}}])


def test_no_manifest_is_changed_in_place() -> None:
    manifest = {"kind": "Deployment", "metadata": {"name": "a", "annotations": {"x": "y"}}}
    waiting = manifests.waiting_for(manifest, "condition=Available")
    assert manifest == {"kind": "Deployment", "metadata": {"name": "a", "annotations": {"x": "y"}}}
    assert waiting["metadata"]["annotations"] == {"x": "y", manifests.WAIT_FOR: "condition=Available"}


def test_several_conditions_are_one_json_array() -> None:
    waits = manifests.replicas_wait(3, "updated")
    value = manifests.waiting_for({"metadata": {"name": "a"}}, *waits)["metadata"]["annotations"][manifests.WAIT_FOR]
    assert json.loads(value) == ["jsonpath={.status.availableReplicas}=3", "jsonpath={.status.updatedReplicas}=3"]


def test_a_wish_for_a_rack_is_a_patch_of_the_topology_constraint_and_a_must_is_dynamos_own_field() -> None:
    assert manifests.graph_placement("default", None, None) == {}
    assert manifests.graph_placement("default", "block", "rack") == {
        "topologyConstraint": {"topologyProfile": "default", "packDomain": "block"},
        "providerOverride": {
            "apiVersion": "grove.io/v1alpha1",
            "target": "PodCliqueSet",
            "patch": {
                "spec": {"template": {"topologyConstraint": {"topologyName": "default", "pack": {"preferred": "rack"}}}}
            },
        },
    }


def test_gpus_of_scaling_groups_count_once_for_each_of_their_replicas() -> None:
    def clique(name: str, replicas: int, gpus: int) -> dict[str, object]:
        containers = [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}, {"name": "sidecar"}]
        return {"name": name, "spec": {"replicas": replicas, "podSpec": {"containers": containers}}}

    template = {
        "cliques": [clique("router", 1, 0), clique("leader", 1, 8), clique("worker", 3, 8)],
        "podCliqueScalingGroups": [{"name": "model", "cliqueNames": ["leader", "worker"], "replicas": 2}],
    }
    assert manifests.gpus_requested({"spec": {"replicas": 5, "template": template}}) == 5 * 2 * 32
