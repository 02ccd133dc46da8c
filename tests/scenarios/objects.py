"""A scenario as Kubernetes objects, and what became of them read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, POD_GANG, Json
from grove_operator.scheduler.model import AVOIDS, GPU, Constraint, Gang, Member, Node
from tests.scenarios.outcome import Outcome
from tests.scenarios.reading import Scenario

HOST = "kubernetes.io/hostname"
UNITS = {"cpu": "m"}


def objects(scenario: Scenario) -> list[Json]:
    """Nodes, topology, pods and gangs, in the order in which they can be created."""
    found = [node(n) for n in scenario.snapshot.nodes]
    for topology in scenario.snapshot.topologies:
        levels = [{"domain": f"level-{i}", "key": key} for i, key in enumerate(topology.keys)]
        found.append(_object(CLUSTER_TOPOLOGY_BINDING.api_version, "ClusterTopologyBinding", "default", levels=levels))
    found += [
        other(f"filler-{n.name}", n.name, dict(n.used)) for n in scenario.snapshot.nodes if any(dict(n.used).values())
    ]
    found += [other(name, on, {GPU: devices}, phase) for name, on, devices, phase in scenario.others]
    for gang in scenario.gangs:
        found += [pod(gang, g.name, m, i) for g in gang.podgroups for i, m in enumerate(g.members)]
    return found + [pod_gang(gang, scenario.policy.packing) for gang in scenario.gangs]


def node(model: Node) -> Json:
    found = _object("v1", "Node", model.name)
    found["metadata"] = {"name": model.name, "labels": {HOST: model.name, **model.labels}}
    amounts = {k: f"{v}{UNITS.get(k, '')}" for k, v in model.allocatable}
    found["status"] = {"allocatable": amounts, "capacity": amounts, "conditions": [{"type": "Ready", "status": "True"}]}
    return found


def other(name: str, on: str, amounts: Mapping[str, int], phase: str = "Running") -> Json:
    """A pod of another scheduler that runs, or has ended."""
    spec: Json = {"nodeName": on, "schedulerName": "default-scheduler", "containers": [_container(amounts)]}
    found = _object("v1", "Pod", name)
    found["metadata"]["labels"] = {}
    return {**found, "spec": spec, "status": {"phase": phase}}


def pod(gang: Gang, podgroup: str, member: Member, index: int) -> Json:
    needs = dict(member.needs.requests)
    needs.pop("pods")
    spec: Json = {"schedulerName": "grove-scheduler", "containers": [_container(needs)]}
    labels = {
        "grove.io/podgang": gang.name,
        "grove.io/podclique-pod-index": str(index),
        "app": f"{gang.name}-{podgroup}",
    }
    if gang.base:
        labels["grove.io/base-podgang"] = gang.base
    if member.node:
        spec["nodeName"] = member.node
    if member.is_gated:
        spec["schedulingGates"] = [{"name": "grove.io/podgang-pending-creation"}]
    if any(kind == AVOIDS for kind, *_ in member.needs.claims):
        term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": labels["app"]}}}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    if gang.priority:
        spec["priority"] = gang.priority
    found = _object("v1", "Pod", member.name.lower())
    found["metadata"]["labels"] = labels
    return {**found, "spec": spec, "status": {"phase": "Pending"}}


def pod_gang(gang: Gang, packing: str) -> Json:
    found = _object(POD_GANG.api_version, "PodGang", gang.name)
    annotations = {"grove.io/topology-name": gang.topology} if gang.topology else {}
    annotations |= {"grove.io/placement-policy": packing} if packing != "pack" else {}
    found["metadata"]["annotations"] = annotations
    if gang.owner:
        found["metadata"]["labels"] = {"app.kubernetes.io/part-of": gang.owner.removeprefix("ns/")}
    if gang.created:
        found["metadata"]["creationTimestamp"] = gang.created
    spec: Json = {
        "podgroups": [
            {
                "name": g.name.lower(),
                "minReplicas": g.minimum,
                "podReferences": [{"namespace": "ns", "name": m.name.lower()} for m in g.members],
                **_constraint(g.constraint),
            }
            for g in gang.podgroups
        ],
        **_constraint(gang.constraint),
    }
    if gang.groups:
        spec["topologyConstraintGroupConfigs"] = [
            {"name": g.name, "podGroupNames": [n.lower() for n in g.podgroups], **_constraint(g.constraint)}
            for g in gang.groups
        ]
    if gang.spread:
        spec["spreadConstraints"] = [
            {"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"} for key in gang.spread
        ]
    if gang.reuse:
        spec["reuseReservationRef"] = {"namespace": "ns", "name": gang.reuse.removeprefix("ns/")}
    initialized = {"type": "Initialized", "status": "True", "reason": "PodGangPodsCreated", "message": ""}
    initialized["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    conditions = [initialized]
    if any(m.node for g in gang.podgroups for m in g.members):  # it stood whole once
        conditions.append({**initialized, "type": "Scheduled", "reason": "Scheduled"})
    return {**found, "spec": spec, "status": {"phase": "Pending", "conditions": conditions}}


def outcome(scenario: Scenario, pods: Iterable[Json], gangs: Iterable[Json]) -> Outcome:
    """From what the API server holds now."""
    nodes = {p["metadata"]["name"]: p["spec"].get("nodeName") for p in pods}
    found = Outcome()
    for gang in scenario.gangs:
        for group in gang.podgroups:
            for member in group.members:
                where = nodes.get(member.name.lower())
                if where and not member.node:
                    found.placed.setdefault(gang.name, {}).setdefault(group.name, []).append(where)
    for obj in gangs:
        name, status = obj["metadata"]["name"], obj.get("status") or {}
        if status.get("placementScore") is not None:
            found.scores[name] = status["placementScore"]
        for condition in status.get("conditions") or ():
            if condition["type"] == "Scheduled" and condition["status"] == "False":
                found.refused[name] = ("", condition["message"])
    return found


def _constraint(constraint: Constraint) -> Json:
    pack = {k: v for k, v in (("required", constraint.required), ("preferred", constraint.preferred)) if v}
    return {"topologyConstraint": {"packConstraint": pack}} if pack else {}


def _container(amounts: Mapping[str, int]) -> Json:
    limits = {k: f"{v}{UNITS.get(k, '')}" for k, v in amounts.items() if v and k != "pods"}
    return {"name": "c", "image": "nothing", "resources": {"limits": limits, "requests": limits}}


def _object(api_version: str, kind: str, name: str, **spec: Any) -> Json:
    meta = {"name": name} | ({} if kind in ("Node", "ClusterTopologyBinding") else {"namespace": "ns"})
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec}
