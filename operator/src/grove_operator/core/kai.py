"""KAI's own objects: a PodGroup from a PodGang, a Topology from a ClusterTopologyBinding (grove-behaviour 9.7, 10.3).

PodGang                            PodGroup
spec.topologyConstraint            topologyConstraint
topologyConstraintGroupConfigs[]   subGroups[]: parents, minSubGroup = number of their podgroups
podgroups[]                        subGroups[]: leaves, minMember = minReplicas, parent where grouped
"""

from __future__ import annotations

from typing import Any

from grove_operator.api.constants import ANNOTATION_TOPOLOGY_NAME, LABEL_TOPOLOGY_BINDING
from grove_operator.api.kinds import KAI_POD_GROUP, KAI_TOPOLOGY, Json
from grove_operator.core.objects import owner_reference

SKIP_POD_GROUPER = "kai.scheduler/skip-podgrouper"
POD_GROUP_NAME = "pod-group-name"
SUBGROUP_NAME = "kai.scheduler/subgroup-name"
QUEUE = "kai.scheduler/queue"


def pod_group(gang: Json) -> Json:
    """The PodGroup that `gang` controls. ValueError: a constraint without a topology's name can't be expressed."""
    meta, spec = gang["metadata"], gang["spec"]
    annotations = meta.get("annotations") or {}
    topology = annotations.get(ANNOTATION_TOPOLOGY_NAME, "")
    configs = spec.get("topologyConstraintGroupConfigs") or ()
    parent_of = {name: config["name"] for config in configs for name in config["podGroupNames"]}
    parents = [
        {"name": c["name"], "minSubGroup": len(c["podGroupNames"]), **_constraint(c, topology, meta["name"])}
        for c in configs
    ]
    leaves = [
        {
            "name": group["name"],
            "minMember": group["minReplicas"],
            **({"parent": parent_of[group["name"]]} if group["name"] in parent_of else {}),
            **_constraint(group, topology, meta["name"]),
        }
        for group in spec["podgroups"]
    ]
    said: Json = {
        "minMember": sum(group["minReplicas"] for group in spec["podgroups"]),
        "subGroups": [*parents, *leaves],
        "topologyConstraint": None,
        "priorityClassName": spec.get("priorityClassName"),
        **_constraint(spec, topology, meta["name"]),
    }
    queue = (meta.get("labels") or {}).get(QUEUE) or annotations.get(QUEUE)
    if queue:
        said["queue"] = queue
    return {
        "apiVersion": KAI_POD_GROUP.api_version,
        "kind": KAI_POD_GROUP.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(annotations),
            "ownerReferences": [owner_reference(gang)],
        },
        "spec": said,
    }


def topology(binding: Json) -> Json:
    """The Topology of the binding's name."""
    name = binding["metadata"]["name"]
    return {
        "apiVersion": KAI_TOPOLOGY.api_version,
        "kind": KAI_TOPOLOGY.kind,
        "metadata": {
            "name": name,
            "labels": {LABEL_TOPOLOGY_BINDING: name},
            "ownerReferences": [owner_reference(binding)],
        },
        "spec": {"levels": [{"nodeLabel": level["key"]} for level in binding["spec"]["levels"]]},
    }


def level_keys(topology_object: Json) -> list[str]:
    """Node-label keys of a live Topology, broadest first."""
    return [level.get("nodeLabel", "") for level in (topology_object.get("spec") or {}).get("levels") or ()]


def _constraint(part: Json, topology_name: str, gang: str) -> Json:
    pack: dict[str, Any] = (part.get("topologyConstraint") or {}).get("packConstraint") or {}
    if not pack:
        return {}
    if not topology_name:
        raise ValueError(f"podgang {gang}: a topology constraint but no topology name; set topologyName")
    said = {"topology": topology_name}
    for ours, theirs in (("required", "requiredTopologyLevel"), ("preferred", "preferredTopologyLevel")):
        if pack.get(ours):
            said[theirs] = pack[ours]
    return {"topologyConstraint": said}
