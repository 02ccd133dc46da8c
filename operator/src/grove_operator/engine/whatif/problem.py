"""What the scheduler would be asked: a Snapshot, its Gangs, who holds what, and which gangs it wouldn't even try.

Grove's own gate counts as lifted, other gates hold       a missing Initialized counts as True
schedulerName is ignored for a gang's members             a pod with nodeName runs, a terminating one holds its place
a pod of ours that no gang references is a gang of one    other schedulers' pending pods are nobody's business here
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grove_operator.api import constants as c
from grove_operator.api import kinds
from grove_operator.api.kinds import Json, key_of
from grove_operator.engine import scheduling_view as view
from grove_operator.engine.pod_needs import PodTrimmer
from grove_operator.engine.scheduling_zones import Zones, trim_report
from grove_operator.engine.whatif.documents import InputError
from grove_operator.engine.whatif.inputs import Inputs
from grove_operator.scheduler.explain import Holding
from grove_operator.scheduler.model import Gang, Snapshot

SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
Where = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a gang is not tried, or not with all its pods. `reason` is a machine word, `pods` are those concerned."""

    scope: str
    reason: str
    message: str
    pods: tuple[str, ...] = ()

    def to_json(self) -> Json:
        said: Json = {"scope": self.scope, "message": self.message, "reason": self.reason}
        return said | ({"pods": list(self.pods)} if self.pods else {})


@dataclass(frozen=True)
class Problem:
    """`absent` are referenced pods that don't exist, by gang; `background` gangs of the dump that wait for nothing."""

    snapshot: Snapshot
    gangs: tuple[Gang, ...]
    holdings: tuple[Holding, ...]
    obstacles: Mapping[str, tuple[Obstacle, ...]]
    absent: Mapping[str, tuple[tuple[str, Where], ...]]
    live_scores: Mapping[str, float]
    background: frozenset[str]


def problem(inputs: Inputs) -> Problem:
    """Raises InputError naming the object whose content the scheduler can't read."""
    pods = _pods(inputs)
    usage = view.Usage()
    for pod in pods.values():
        usage.observe(None, pod)
    zones = Zones()
    for report in inputs.all(kinds.NODE_RESOURCE_TOPOLOGY):
        zones.report(None, _readable(trim_report, report), usage)
    nodes = [_readable(view.trim_node, node) for node in inputs.all(kinds.NODE)]
    nodes = [{**node, "node": zones.on(node["node"])} for node in nodes]
    topologies = [_readable(view.trim_topology, binding) for binding in inputs.all(kinds.CLUSTER_TOPOLOGY_BINDING)]
    pod_gangs = [_with_initialized(g) for g in inputs.all(kinds.POD_GANG) if not _is_terminating(g)]
    referenced = {where for g in pod_gangs for _, where in _references(g)}
    for where in referenced & pods.keys():
        pods[where]["scheduler"] = c.SCHEDULER_NAME
    look = _Lookup(pods)
    gangs = {}
    for pod_gang in pod_gangs:
        gang = _readable(lambda g: view.gang_of(g, look, {}, (c.SCHEDULER_NAME,)), pod_gang)
        gangs[gang.key] = (pod_gang, gang)
    singles = [
        view.single(p, {}, (c.SCHEDULER_NAME,)) for where, p in pods.items() if where not in referenced and _waits(p)
    ]
    return Problem(
        snapshot=view.snapshot(nodes, topologies, usage),
        gangs=(*(gang for _, gang in gangs.values()), *singles),
        holdings=tuple(_holdings(inputs, pods, pod_gangs)),
        obstacles={k: tuple(_obstacles(g, gang, pods, inputs)) for k, (g, gang) in gangs.items()},
        absent={k: tuple((group, w) for group, w in _references(g) if w not in pods) for k, (g, _) in gangs.items()},
        live_scores={
            k: float(s) for k, (g, _) in gangs.items() if (s := g["status"].get("placementScore")) is not None
        },
        background=frozenset(
            k for k, (g, gang) in gangs.items() if key_of(g) in inputs.background and not _has_pending(gang)
        ),
    )


class _Lookup:
    """A store by namespace and name, as `gang_of` asks for pods."""

    def __init__(self, pods: Mapping[Where, Json]) -> None:
        self._pods = pods

    def __call__(self, namespace: str, name: str) -> Json | None:
        return self._pods.get((namespace, name))


def _pods(inputs: Inputs) -> dict[Where, Json]:
    classes = {o["metadata"]["name"]: int(o.get("value") or 0) for o in inputs.all(kinds.PRIORITY_CLASS)}
    default = max(
        (int(o.get("value") or 0) for o in inputs.all(kinds.PRIORITY_CLASS) if o.get("globalDefault")), default=0
    )
    claims = {_where(o): view.trim_claim(o) for o in inputs.all(kinds.PERSISTENT_VOLUME_CLAIM)}
    volumes = {("", o["metadata"]["name"]): view.trim_volume(o) for o in inputs.all(kinds.PERSISTENT_VOLUME)}
    trim = PodTrimmer(view.volume_at(_Lookup(claims), _Lookup(volumes)))
    found = {}
    for pod in inputs.all(kinds.POD):
        spec = dict(pod.get("spec") or {})
        spec["schedulingGates"] = _gates(spec)
        name = spec.get("priorityClassName")
        if spec.get("priority") is None:
            spec["priority"] = {**SYSTEM_PRIORITIES, **classes}.get(name, 0) if name else default
        found[_where(pod)] = _readable(trim, {**pod, "spec": spec})
    return {where: trim.again(pod) or pod for where, pod in found.items()}


def _readable(read: Any, obj: Json) -> Any:
    try:
        return read(obj)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fact = f"{type(error).__name__} at {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{key_of(obj)}: can't be read: {fact}; correct its spec or status") from error


def _gates(spec: Json) -> list[Json]:
    return [gate for gate in spec.get("schedulingGates") or () if gate.get("name") != c.SCHEDULING_GATE]


def _with_initialized(pod_gang: Json) -> Json:
    status = dict(pod_gang.get("status") or {})
    if not view.condition(pod_gang, c.CONDITION_PODGANG_INITIALIZED):
        said = {"type": c.CONDITION_PODGANG_INITIALIZED, "status": "True"}
        status["conditions"] = [*(status.get("conditions") or ()), said]
    return {**pod_gang, "status": status}


def _is_terminating(obj: Json) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _where(obj: Json) -> Where:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _references(pod_gang: Json) -> Iterator[tuple[str, Where]]:
    """(podgroup, namespace and name) of every pod that the gang names."""
    namespace = pod_gang["metadata"]["namespace"]
    for group in (pod_gang.get("spec") or {}).get("podgroups") or ():
        for reference in group.get("podReferences") or ():
            yield group["name"], (reference.get("namespace") or namespace, reference["name"])


def _waits(pod: Json) -> bool:
    """A pod that our scheduler would place as a gang of its own."""
    is_ours = pod["scheduler"] == c.SCHEDULER_NAME and not pod["metadata"]["labels"].get(c.LABEL_POD_GANG)
    is_live = not pod["metadata"]["deletionTimestamp"] and not view.is_over(pod)
    return is_ours and is_live and not pod["node"] and not pod["gated"]


def _has_pending(gang: Gang) -> bool:
    return not gang.stands or any(m.node is None for g in gang.podgroups for m in g.members)


def _holdings(inputs: Inputs, pods: Mapping[Where, Json], pod_gangs: list[Json]) -> Iterator[Holding]:
    gang_of_pod = {
        where: f"{g['metadata']['namespace']}/{g['metadata']['name']}" for g in pod_gangs for _, where in _references(g)
    }
    for obj in inputs.all(kinds.POD):
        pod = pods[_where(obj)]
        if not pod["node"] or view.is_over(pod):
            continue
        yield Holding(
            namespace=obj["metadata"]["namespace"],
            pod=obj["metadata"]["name"],
            node=pod["node"],
            needs=pod["needs"],
            gang=gang_of_pod.get(_where(obj)),
            priority=pod["priority"],
            is_leaving=_is_terminating(obj),
            is_pinned=pod["pinned"],
        )


def _obstacles(pod_gang: Json, gang: Gang, pods: Mapping[Where, Json], inputs: Inputs) -> Iterator[Obstacle]:
    """Why the minima can't be asked for: not initialised, or fewer members than they take."""
    if not gang.ready:
        said = (
            view.condition(pod_gang, c.CONDITION_PODGANG_INITIALIZED).get("message") or "some of its pods don't exist"
        )
        text = f"podgang {gang.name}: not initialised yet: {said}; its operator sets the condition"
        yield Obstacle(f"podgang {gang.name}", "NotInitialized", text)
    gates = {_where(o): _gates(o.get("spec") or {}) for o in inputs.all(kinds.POD)}
    by_group: dict[str, list[Where]] = {}
    for name, where in _references(pod_gang):
        by_group.setdefault(name, []).append(where)
    for group in gang.podgroups:
        able = sum(m.node is not None or not m.is_gated for m in group.members)
        if able >= group.minimum:
            continue
        scope = f"podgroup {group.name}"
        causes = list(_causes(scope, by_group.get(group.name, []), pods, gates))
        if not causes:
            text = f"{scope}: {able} pods are referenced but minReplicas is {group.minimum}; add pods or lower it"
            causes.append(Obstacle(scope, "TooFewReferences", text))
        yield from causes


def _causes(
    scope: str, references: list[Where], pods: Mapping[Where, Json], gates: Mapping[Where, list[Json]]
) -> Iterator[Obstacle]:
    for where in references:
        name, pod = "/".join(where), pods.get(where)
        if pod is None:
            yield Obstacle(scope, "PodMissing", missing(scope, where), (name,))
        elif pod["metadata"]["deletionTimestamp"]:
            text = f"{scope}: pod {name} is terminating; its replacement can be placed once it is referenced"
            yield Obstacle(scope, "PodTerminating", text, (name,))
        elif view.is_over(pod):
            text = f"{scope}: pod {name} has ended ({pod['phase']}); its replacement must be referenced"
            yield Obstacle(scope, "PodEnded", text, (name,))
        elif pod["gated"] and not pod["node"]:
            held = ", ".join(gate.get("name", "?") for gate in gates[where])
            yield Obstacle(
                scope, "PodGated", f"{scope}: pod {name} is held by scheduling gate {held}; lift it", (name,)
            )


def missing(scope: str, where: Where) -> str:
    return f"{scope}: pod {'/'.join(where)} is referenced but does not exist; create it or remove the reference"
