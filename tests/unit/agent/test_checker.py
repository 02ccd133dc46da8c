"""The oracle itself: it must find each kind of planted fault, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.localcluster.checker import check_nodes

Json = dict[str, Any]


def node(name: str = "a", taints: list[Json] | None = None, labels: dict[str, str] | None = None, **more: str) -> Json:
    room = {"cpu": "4", "memory": "8Gi", "pods": "3", "nvidia.com/gpu": "2", **more}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": room},
    }


def pod(
    name: str = "p", requests: dict[str, str] | None = None, phase: str = "Running", on: str = "a", **spec: Any
) -> Json:
    containers = [{"name": "c", "resources": {"requests": requests or {}}}]
    return {
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"nodeName": on, "containers": containers, **spec},
        "status": {"phase": phase},
    }


def init(requests: dict[str, str], **more: Any) -> Json:
    return {"name": "i", "resources": {"requests": requests}, **more}


def test_full_nodes_are_fine() -> None:
    pods = [
        pod("p", {"cpu": "2", "nvidia.com/gpu": "1"}),
        pod("q", {"cpu": "2000m", "memory": "8Gi", "nvidia.com/gpu": "1"}),
    ]
    assert check_nodes([node()], pods) == []


def test_unbound_and_finished_pods_hold_nothing() -> None:
    pods = [pod(str(n), {"cpu": "4"}, phase) for n, phase in enumerate(("Failed", "Succeeded", "Running"))]
    pods.append(pod("unbound", {"cpu": "4"}, "Pending", on=""))
    assert check_nodes([node()], pods) == []


@pytest.mark.parametrize(
    ("pods", "resource"),
    [
        ([pod("p", {"cpu": "2"}), pod("q", {"cpu": "2001m"})], "cpu"),
        ([pod("p", {"memory": "8193Mi"})], "memory"),
        ([pod("p", {"nvidia.com/gpu": "2"}), pod("q", {"nvidia.com/gpu": "1"})], "nvidia.com/gpu"),
        ([pod("p", {"example.com/other": "1"})], "example.com/other"),
        ([pod(str(n)) for n in range(4)], "pods"),
        ([pod("p", {"cpu": "1"}, initContainers=[init({"cpu": "5"})])], "cpu"),
        ([pod("p", {"cpu": "3"}, initContainers=[init({"cpu": "2"}, restartPolicy="Always")])], "cpu"),
        ([pod("p", {"cpu": "4"}, overhead={"cpu": "100m"})], "cpu"),
        ([pod("p", {"cpu": "1"}, resources={"requests": {"cpu": "5"}})], "cpu"),
        ([pod("p", {"cpu": "3"}), pod("q", {"cpu": "2"}, phase="Pending")], "cpu"),
    ],
)
def test_every_kind_of_over_allocation_is_found(pods: list[Json], resource: str) -> None:
    faults = check_nodes([node()], pods)
    assert len(faults) == 1
    assert f"node a is over its allocatable {resource}:" in faults[0]


def test_a_pod_on_a_node_that_is_gone_is_found() -> None:
    assert check_nodes([node()], [pod(on="ghost")]) == ["pod n/p is bound to node ghost, which does not exist"]


def affinity(*expressions: Json) -> Json:
    required = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pytest.mark.parametrize(
    ("where", "misplaced"),
    [
        (node(labels={"rack": "r1"}), pod(nodeSelector={"rack": "r2"})),
        (node(labels={"rack": "r1"}), pod(affinity=affinity({"key": "rack", "operator": "NotIn", "values": ["r1"]}))),
        (node(labels={"rack": "r1"}), pod(affinity=affinity({"key": "size", "operator": "Gt", "values": ["1"]}))),
        (node(taints=[{"key": "gpu", "effect": "NoSchedule"}]), pod()),
        (
            node(taints=[{"key": "gpu", "value": "a", "effect": "NoExecute"}]),
            pod(tolerations=[{"key": "gpu", "value": "b"}]),
        ),
    ],
)
def test_a_misplaced_pod_is_found(where: Json, misplaced: Json) -> None:
    assert len(check_nodes([where], [misplaced])) == 1


@pytest.mark.parametrize(
    ("where", "placed"),
    [
        (node(labels={"rack": "r1"}), pod(affinity=affinity({"key": "rack", "operator": "In", "values": ["r1"]}))),
        (node(taints=[{"key": "gpu", "effect": "NoSchedule"}]), pod(tolerations=[{"operator": "Exists"}])),
        (node(taints=[{"key": "gpu", "effect": "PreferNoSchedule"}]), pod()),
        (node(taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]), pod()),
    ],
)
def test_a_rightly_placed_pod_is_not(where: Json, placed: Json) -> None:
    assert check_nodes([where], [placed]) == []
