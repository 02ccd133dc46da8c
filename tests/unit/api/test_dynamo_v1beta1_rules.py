"""v1beta1 graphs: its own rules, and the shared ones in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.kinds import Json
from grove_operator.api.validation import validate_dynamographdeployment

MAIN = "podTemplate.spec.containers"
C = "spec.components[0]"


def component(name: str = "Decode", **fields: Any) -> Json:
    template = {"spec": {"containers": [{"name": "main", "image": "i"}]}}
    return {"name": name, "type": "decode", "podTemplate": template, **fields}


def graph(*components: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g", "namespace": "ns"},
        "spec": {"components": list(components), **spec},
    }


def containers(*listed: Json) -> Json:
    return component(podTemplate={"spec": {"containers": list(listed)}})


def test_a_plain_graph_has_no_fault() -> None:
    assert validate_dynamographdeployment(graph(component())) == []


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (graph(), "spec.components"),
        (graph(component(), component()), "spec.components[1].name"),
        (graph(component(), component("DECODE")), "spec.components[1]"),
        (graph(component(type="main")), f"{C}.type"),
        (graph(component("a.b")), f"{C}.name"),
        (graph(containers({"name": "other", "image": "i"})), f"{C}.{MAIN}"),
        (graph(containers({"name": "main"})), f"{C}.{MAIN}[0].image"),
        (graph(containers({"name": "main", "image": "i"}, {"name": "side"})), f"{C}.{MAIN}[1].image"),
        (graph(component(frontendSidecar="side")), f"{C}.frontendSidecar"),
        (graph(component(replicas=1, minAvailable=2)), f"{C}.minAvailable"),
        (graph(component(roles=[{"name": "leader"}])), f"{C}.roles"),
        (graph(component(multinode={}, roles=[{"name": "worker", "replicas": 3}])), f"{C}.roles[0].replicas"),
        (graph(component(dynamoSidecar={})), f"{C}.dynamoSidecar"),
        (graph(component(experimental={"failover": {}})), f"{C}.failover"),
        (graph(component("d" * 17, multinode={})), C),
        (graph(component("d" * 19, experimental={"grove": {"forceScalingGroup": True}})), f"{C}.name"),
        (graph(component(), topologyConstraint={"packDomain": "rack"}), "spec.topologyConstraint.clusterTopologyName"),
        (
            graph(
                component(providerOverride={"apiVersion": "grove.io/v1alpha1", "target": "PodCliqueSet", "patch": {}})
            ),
            f"{C}.providerOverride.target",
        ),
    ],
)
def test_a_fault_points_at_its_field(bad: Json, field: str) -> None:
    faults = validate_dynamographdeployment(bad)
    assert field in [fault.field for fault in faults]
    assert all(fault.remedy for fault in faults)


def test_a_variable_that_stands_twice_is_found() -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    (fault,) = validate_dynamographdeployment(graph(containers({"name": "main", "image": "i", "env": twice})))
    assert fault.field == f"{C}.{MAIN}[0].env[1].name"


@pytest.mark.parametrize(
    ("now", "field"),
    [
        (component(type="prefill"), f"{C}.type"),
        (component(minAvailable=2, replicas=2), f"{C}.minAvailable"),
        (component(multinode={"nodeCount": 2}), f"{C}.multinode"),
        (component(experimental={"grove": {"forceScalingGroup": True}}), f"{C}.experimental.grove"),
    ],
)
def test_what_grove_calls_immutable_is_refused_at_admission(now: Json, field: str) -> None:
    (fault,) = validate_dynamographdeployment(graph(now), graph(component()))
    assert (fault.field, fault.reason) == (field, "Forbidden")


def test_replicas_images_and_environment_of_a_live_graph_may_change() -> None:
    now = containers({"name": "main", "image": "j", "env": [{"name": "A", "value": "1"}]}) | {"replicas": 5}
    assert validate_dynamographdeployment(graph(now), graph(component())) == []
