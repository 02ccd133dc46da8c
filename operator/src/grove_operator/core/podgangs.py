"""PodGangs of one PodCliqueSet replica (grove-behaviour 4).

    base gang   standalone cliques, then each group's replicas 0 .. minAvailable-1
    scaled      one gang for each further group replica

A gang is written once, when all its pods exist: complete with its references, then Initialized. Until then it does
not exist, so that no scheduler sees half a gang. Later its references follow the pods, and once pods follow others,
`reuseReservationRef` names the gang itself: it takes over the place that it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from grove_operator.api import conditions, names
from grove_operator.api.constants import (
    ANNOTATION_FORMER_NODE,
    ANNOTATION_TOPOLOGY_NAME,
    COMPONENT_POD_GANG,
    CONDITION_PODGANG_INITIALIZED,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_GANG,
    LABEL_SCHEDULER_NAME,
)
from grove_operator.api.kinds import POD_GANG, Json
from grove_operator.core import podstate
from grove_operator.core.availability import least
from grove_operator.core.backends import backend_of
from grove_operator.core.mirror import mirrored
from grove_operator.core.objects import child, is_terminating, label
from grove_operator.core.observed import ReplicaView
from grove_operator.core.settings import Settings
from grove_operator.core.template import Clique, Group, Template
from grove_operator.core.topology import level_keys, topology_name, translated


@dataclass(frozen=True)
class Gang:
    """A PodGang to be: its PodCliques in order, and the constraint on the whole."""

    name: str
    cliques: tuple[tuple[str, Clique], ...]
    topology: Json | None
    group_configs: tuple[Json, ...] = ()


def expected_gangs(view: ReplicaView) -> Iterator[Gang]:
    """The base gang, then the scaled ones; group sizes are the live ones, and what is scaled to 0 is in no gang."""
    template, i = view.template, view.index
    keys = level_keys(view.topology)
    standalone = [(names.pod_clique(template.name, i, clique.name), clique) for clique in template.standalone]
    base = _wanted(view, standalone)
    configs: list[Json] = []
    for group in template.groups:
        for j in range(min(group.min_available, live_replicas(view, group))):
            members = _wanted(view, _members(template, i, group, j))
            base += members
            if group.topology and members:
                configs.append(_group_config(template, i, group, j, members, translated(group.topology, keys)))
    name = names.base_pod_gang(template.name, i)
    if base:
        yield Gang(name, tuple(base), translated(template.topology, keys), tuple(configs))
    for group in template.groups:
        constraint = translated(group.topology or template.topology, keys)
        for j in range(group.min_available, live_replicas(view, group)):
            scaled = names.scaled_pod_gang(template.name, i, group.name, j, group.min_available)
            if members := _wanted(view, _members(template, i, group, j)):
                yield Gang(scaled, tuple(members), constraint)


def live_replicas(view: ReplicaView, group: Group) -> int:
    live = view.groups.get(names.scaling_group(view.template.name, view.index, group.name))
    return int(live["spec"]["replicas"]) if live else group.replicas


def _wanted(view: ReplicaView, cliques: list[tuple[str, Clique]]) -> list[tuple[str, Clique]]:
    """Without those whose live PodClique is scaled to 0."""
    return [(name, c) for name, c in cliques if name not in view.cliques or view.cliques[name]["spec"]["replicas"]]


def pod_gangs(view: ReplicaView, now: datetime, settings: Settings) -> Iterator[Json]:
    """Manifests of the gangs that exist or can be complete now."""
    for gang in expected_gangs(view):
        live, is_complete = view.gangs.get(gang.name), _is_complete(view, gang)
        if live is None and not is_complete:
            continue
        yield _manifest(view, gang, live, now, settings, is_complete)


def _manifest(view: ReplicaView, gang: Gang, live: Json | None, now: datetime, s: Settings, is_complete: bool) -> Json:
    template, keys = view.template, level_keys(view.topology)
    pod_groups = [
        _pod_group(view, gang.name, name, clique, translated(clique.topology, keys))
        for name, clique in gang.cliques
        if not _is_coming_back(view, live, name)
    ]
    spec: Json = {"podgroups": pod_groups}
    if gang.topology:
        spec["topologyConstraint"] = gang.topology
    if configs := _of_present(gang.group_configs, {group["name"] for group in pod_groups}):
        spec["topologyConstraintGroupConfigs"] = configs
    if template.priority_class:
        spec["priorityClassName"] = template.priority_class
    spec |= _reservation(view, gang, live)
    constrained = [gang.topology, *(c.get("topologyConstraint") for c in (*configs, *pod_groups))]
    topology = topology_name(template) if any(constrained) else ""
    if template.spread:
        spec["spreadConstraints"] = list(template.spread)
    scheduler = next((c.scheduler_name for c in template.cliques if c.scheduler_name), s.scheduler_name)
    labels, annotations = mirrored(template, live)
    annotations |= backend_of(scheduler, s.backends).gang_annotations(template)
    labels |= {LABEL_SCHEDULER_NAME: scheduler, LABEL_PCS_REPLICA_INDEX: str(view.index)}
    return child(
        POD_GANG,
        template.obj,
        gang.name,
        template.name,
        COMPONENT_POD_GANG,
        labels=labels,
        annotations={**annotations, ANNOTATION_TOPOLOGY_NAME: topology or None},
        with_name_label=False,
        spec=spec,
        status=_status(live, is_complete, now),
    )


def _reservation(view: ReplicaView, gang: Gang, live: Json | None) -> Json:
    """A gang with pods that follow others takes over its own place; what others wrote here is theirs."""
    own = {"namespace": view.template.namespace, "name": gang.name}
    there = live["spec"].get("reuseReservationRef") if live else None
    if there and there != own:
        return {}
    pods = (pod for name, _ in gang.cliques for pod in view.pods.get(name, ()) if podstate.is_active(pod))
    if any(ANNOTATION_FORMER_NODE in (pod["metadata"].get("annotations") or {}) for pod in pods):
        return {"reuseReservationRef": own}
    return {"reuseReservationRef": None} if there else {}


def _status(live: Json | None, is_complete: bool, now: datetime) -> Json:
    """Only what is ours: Initialized, which never goes back, and the first phase. The rest is the scheduler's."""
    status = (live or {}).get("status") or {}
    done = is_complete or conditions.is_true(live, CONDITION_PODGANG_INITIALIZED)
    reason = "PodGangPodsCreated" if done else "PodGangPodsCreationPending"
    message = "all pods of the gang exist" if done else "some pods of the gang do not exist yet"
    said = conditions.condition(CONDITION_PODGANG_INITIALIZED, done, reason, message)
    return {
        "phase": status.get("phase") or "Pending",
        "conditions": conditions.merged(status.get("conditions"), [said], now),
    }


def _pod_group(view: ReplicaView, gang: str, name: str, clique: Clique, constraint: Json | None) -> Json:
    references = [
        {"namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"]}
        for pod in sorted(view.pods.get(name, ()), key=lambda pod: pod["metadata"]["name"])
        if podstate.is_active(pod) and label(pod, LABEL_POD_GANG) == gang
    ]
    said: Json = {"name": name, "podReferences": references, "minReplicas": clique.min_available}
    if constraint:
        said["topologyConstraint"] = constraint
    return said


def _is_coming_back(view: ReplicaView, gang: Json | None, name: str) -> bool:
    """A group that a live gang does not have yet joins it when its minimum of pods exists, not pod by pod."""
    if gang is None or any(group["name"] == name for group in gang["spec"]["podgroups"]):
        return False
    clique = view.cliques.get(name)
    if clique is None:
        return True
    needed: int = min(least(clique), clique["spec"]["replicas"])
    return sum(map(podstate.is_active, view.pods.get(name, ()))) < needed


def _of_present(configs: Iterable[Json], present: set[str]) -> list[Json]:
    """Group configs about the podgroups that the gang has now."""
    kept = ((config, [name for name in config["podGroupNames"] if name in present]) for config in configs)
    return [{**config, "podGroupNames": names_} for config, names_ in kept if names_]


def _is_complete(view: ReplicaView, gang: Gang) -> bool:
    for name, _ in gang.cliques:
        live = view.cliques.get(name)
        if live is None or is_terminating(live):
            return False
        pods = [pod for pod in view.pods.get(name, ()) if podstate.is_active(pod)]
        if len(pods) < live["spec"]["replicas"] or any(label(pod, LABEL_POD_GANG) != gang.name for pod in pods):
            return False
    return True


def _members(template: Template, i: int, group: Group, j: int) -> list[tuple[str, Clique]]:
    return [
        (names.member_pod_clique(template.name, i, group.name, j, clique.name), clique)
        for clique in template.members(group)
    ]


def _group_config(
    template: Template, i: int, group: Group, j: int, members: list[tuple[str, Clique]], constraint: Json | None
) -> Json:
    said: Json = {
        "name": names.group_replica(names.scaling_group(template.name, i, group.name), j),
        "podGroupNames": [name for name, _ in members],
    }
    if constraint:
        said["topologyConstraint"] = constraint
    return said
