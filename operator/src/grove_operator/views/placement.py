"""What exists and where it runs, as one plain tree: the data behind `grove tree`.

    podcliqueset dynamo-grove  1/1 available
    └─ replica 0
       ├─ podgang dynamo-grove-0  Running  score 1.00
       │  ├─ podclique dynamo-grove-0-frontend  1/1 ready
       │  │  └─ pod dynamo-grove-0-frontend-x7k2p  Running  zone-a / block-0 / rack-1 / host-0

A node knows its text parts and its children; it knows nothing of terminals. Pure: objects in, tree out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grove_operator.api import constants as c
from grove_operator.api.kinds import Json

Health = Literal["good", "waiting", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One line: `kind name  facts...`, with its children below it."""

    kind: str
    name: str
    facts: tuple[str, ...] = ()
    health: Health = "plain"
    children: tuple[TreeNode, ...] = ()

    def to_json(self) -> Json:
        return {
            "kind": self.kind,
            "name": self.name,
            "facts": list(self.facts),
            "health": self.health,
            "children": [child.to_json() for child in self.children],
        }


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The objects that a tree is drawn from; any of the lists may be empty."""

    podcliquesets: Sequence[Json]
    podcliques: Sequence[Json] = ()
    podgangs: Sequence[Json] = ()
    pods: Sequence[Json] = ()
    nodes: Sequence[Json] = ()
    topologies: Sequence[Json] = ()


def condition(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of that type in the object's status, if there is one."""
    for item in obj.get("status", {}).get("conditions", ()):
        if item.get("type") == kind:
            return dict(item)
    return None


def level_keys(topologies: Sequence[Json]) -> tuple[str, ...]:
    """Node label keys, broadest first, of the topology named `default`, else of the only one, else none."""
    by_name = {t["metadata"]["name"]: t for t in topologies}
    chosen = by_name.get(c.DEFAULT_TOPOLOGY) or (topologies[0] if len(topologies) == 1 else None)
    return tuple(level["key"] for level in chosen["spec"]["levels"]) if chosen else ()


def workload_trees(view: ClusterView) -> list[TreeNode]:
    """One tree per PodCliqueSet, sorted by namespace and name."""
    keys = level_keys(view.topologies)
    where = {n["metadata"]["name"]: topology_path(n, keys) for n in view.nodes}
    pods = _group(view.pods, c.LABEL_POD_CLIQUE)
    cliques = _group(view.podcliques, c.LABEL_POD_GANG)
    gangs = _group(view.podgangs, c.PART_OF)
    return [
        _set_node(pcs, gangs, cliques, pods, where)
        for pcs in sorted(view.podcliquesets, key=lambda o: (_namespace(o), o["metadata"]["name"]))
    ]


def _set_node(
    pcs: Json,
    gangs: Mapping[tuple[str, str], list[Json]],
    cliques: Mapping[tuple[str, str], list[Json]],
    pods: Mapping[tuple[str, str], list[Json]],
    where: Mapping[str, str],
) -> TreeNode:
    namespace, name = _namespace(pcs), pcs["metadata"]["name"]
    wanted, available = pcs["spec"].get("replicas", 0), pcs.get("status", {}).get("availableReplicas", 0)
    facts = [f"{available}/{wanted} available"]
    surge = condition(pcs, c.CONDITION_SURGE)
    if surge is not None and surge["status"] != "False":
        facts.append(f"surge: {surge['message']}")
    return TreeNode(
        "podcliqueset",
        f"{namespace}/{name}",
        tuple(facts),
        "good" if available >= wanted else "waiting",
        tuple(
            _gang_node(gang, cliques, pods, where)
            for gang in sorted(gangs.get((namespace, name), ()), key=lambda g: g["metadata"]["name"])
        ),
    )


def _gang_node(
    gang: Json,
    cliques: Mapping[tuple[str, str], list[Json]],
    pods: Mapping[tuple[str, str], list[Json]],
    where: Mapping[str, str],
) -> TreeNode:
    namespace, name, status = _namespace(gang), gang["metadata"]["name"], gang.get("status", {})
    facts = [status.get("phase") or "Pending"]
    if "placementScore" in status:
        facts.append(f"placement score {status['placementScore']:.2f}")
    scheduled = condition(gang, c.CONDITION_PODGANG_SCHEDULED)
    health: Health = "waiting"
    if scheduled is not None and scheduled["status"] == "True":
        health = "good"
    elif scheduled is not None:
        health = "bad"
        facts.append(str(scheduled.get("message", "")))
    members = sorted(cliques.get((namespace, name), ()), key=lambda q: q["metadata"]["name"])
    return TreeNode("podgang", name, tuple(facts), health, tuple(_clique_node(q, pods, where) for q in members))


def _clique_node(clique: Json, pods: Mapping[tuple[str, str], list[Json]], where: Mapping[str, str]) -> TreeNode:
    namespace, name = _namespace(clique), clique["metadata"]["name"]
    wanted, ready = clique["spec"]["replicas"], clique.get("status", {}).get("readyReplicas", 0)
    facts = [f"{ready}/{wanted} ready"]
    settling = condition(clique, c.CONDITION_SETTLING)
    if settling is not None and settling["status"] == "True":
        facts.append(f"settling: {settling['message']}")
    return TreeNode(
        "podclique",
        name,
        tuple(facts),
        "good" if ready >= wanted else "waiting",
        tuple(
            _pod_node(pod, where)
            for pod in sorted(pods.get((namespace, name), ()), key=lambda p: p["metadata"]["name"])
        ),
    )


def _pod_node(pod: Json, where: Mapping[str, str]) -> TreeNode:
    node = pod["spec"].get("nodeName", "")
    ready = (condition(pod, "Ready") or {}).get("status") == "True"
    phase = pod.get("status", {}).get("phase", "Pending")
    state = "Terminating" if "deletionTimestamp" in pod["metadata"] else phase
    facts = [state, "Ready" if ready else "not Ready"]
    if node:
        facts.append(where.get(node, node))
    else:
        scheduled = condition(pod, "PodScheduled") or {}
        facts.append(str(scheduled.get("reason", "not scheduled")))
    health: Health = "good" if ready else "bad" if phase == "Failed" else "waiting"
    return TreeNode("pod", pod["metadata"]["name"], tuple(facts), health)


def topology_path(node: Json, keys: Sequence[str]) -> str:
    """`zone / block / rack / host` of a node, by the topology's own levels; the host's name where labels lack."""
    labels = node["metadata"].get("labels", {})
    name = node["metadata"]["name"]
    path = [labels[key] for key in keys if key in labels]
    if not path or path[-1] != name:
        path.append(name)
    return " / ".join(path)


def _group(objects: Iterable[Json], label: str) -> dict[tuple[str, str], list[Json]]:
    groups: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for obj in objects:
        value = obj["metadata"].get("labels", {}).get(label)
        if value:
            groups[_namespace(obj), value].append(obj)
    return groups


def _namespace(obj: Json) -> str:
    return str(obj["metadata"].get("namespace", ""))
