"""What the scheduler sees: watch stores turned into a `Snapshot` and `Gang`s, with usage kept in step event by event.

nodes ──> Node (without usage)                  pods ──> trimmed pod + interned Needs ──> usage per node
assumed: pod UID -> node, from the decision to bind until the watch shows the binding
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from grove_operator.api import constants as c
from grove_operator.api.kinds import Json
from grove_operator.engine.pod_needs import VolumeAt, volume_affinity
from grove_operator.scheduler.explain import Holding
from grove_operator.scheduler.liking import PACKINGS
from grove_operator.scheduler.model import (
    Amounts,
    Claim,
    Constraint,
    Gang,
    GroupConfig,
    Member,
    Needs,
    Node,
    PodGroup,
    Snapshot,
    Taint,
    Topology,
)
from grove_operator.scheduler.quantity import amount
from grove_operator.scheduler.requests import Affinity

NAME_OF_SINGLE = "pod {}"
"""A pod that belongs to no gang is scheduled as a gang of its own under this name (no PodGang can have it)."""
Lookup = Callable[[str, str], Json | None]


def trim_claim(claim: Json) -> Json:
    """A PersistentVolumeClaim as the name of the volume that it is bound to."""
    meta, spec, status = claim["metadata"], claim.get("spec") or {}, claim.get("status") or {}
    bound = spec.get("volumeName") if status.get("phase") == "Bound" else None
    return {
        "metadata": {k: meta[k] for k in ("name", "namespace", "resourceVersion") if k in meta},
        "volume": bound,
    }


def trim_volume(volume: Json) -> Json:
    """A PersistentVolume as the nodes that can use it."""
    meta = volume["metadata"]
    return {
        "metadata": {k: meta[k] for k in ("name", "resourceVersion") if k in meta},
        "affinity": volume_affinity(volume),
    }


def volume_at(claim_at: Lookup, volume_at: Lookup) -> VolumeAt:
    """Looks a claim's volume up in two stores of what `trim_claim` and `trim_volume` leave."""

    def look(namespace: str, name: str) -> Affinity | None:
        claim = claim_at(namespace, name)
        volume = volume_at("", claim["volume"]) if claim and claim["volume"] else None
        found: Affinity | None = volume["affinity"] if volume else None
        return found

    return look


def trim_node(node: Json) -> Json:
    """The node as a model object, under `node`."""
    meta, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    allocatable = status.get("allocatable") or status.get("capacity") or {}
    conditions = {x.get("type"): x.get("status") for x in status.get("conditions") or ()}
    model = Node(
        name=meta["name"],
        labels=dict(meta.get("labels") or {}),
        allocatable=tuple(sorted((k, amount(k, v)) for k, v in allocatable.items())),
        taints=tuple(
            Taint(t.get("key", ""), t.get("value") or "", t.get("effect", "")) for t in spec.get("taints") or ()
        ),
        unschedulable=bool(spec.get("unschedulable")),
        ready=conditions.get("Ready") == "True" and not meta.get("deletionTimestamp"),
    )
    return {"metadata": {"name": meta["name"], "resourceVersion": meta["resourceVersion"]}, "node": model}


def trim_topology(binding: Json) -> Json:
    levels = (binding.get("spec") or {}).get("levels") or ()
    meta = binding["metadata"]
    return {
        "metadata": {"name": meta["name"], "resourceVersion": meta["resourceVersion"]},
        "topology": Topology(
            meta["name"],
            tuple(level["key"] for level in levels if level.get("domain") != c.DOMAIN_NUMA),
            next((level["key"] for level in levels if level.get("domain") == c.DOMAIN_NUMA), ""),
        ),
    }


def is_over(pod: Json) -> bool:
    """Ended pods hold nothing."""
    return pod["phase"] in ("Succeeded", "Failed")


def condition(obj: Json, kind: str) -> Json:
    """The condition of that type, or an empty one. Works on trimmed pods and on whole objects."""
    found = obj["conditions"] if "conditions" in obj else (obj.get("status") or {}).get("conditions") or ()
    return next((x for x in found if x.get("type") == kind), {})


class Usage:
    """What bound and assumed pods hold on each node."""

    def __init__(self) -> None:
        self.amounts: dict[str, Counter[str]] = defaultdict(Counter)
        self.claims: dict[str, Counter[Claim]] = defaultdict(Counter)
        self._held: dict[str, tuple[str, Needs]] = {}
        self._starting: dict[str, tuple[str, Needs]] = {}
        """What is held by pods that don't run yet."""
        self.assumed: dict[str, str] = {}
        self.changed: set[str] = set()
        """Nodes whose usage changed since somebody cleared this."""

    def observe(self, old: Json | None, new: Json | None) -> bool:
        """Follow one watch event of a pod; True when what is held changed."""
        uid = (new or old or {})["metadata"]["uid"]
        if old is not None and old["metadata"]["uid"] != uid:  # deleted and recreated between two lists
            self.observe(old, None)
        if new is None or is_over(new):
            self.assumed.pop(uid, None)
            self._starting.pop(uid, None)
            return self._hold(uid, None)
        if new["node"]:
            self.assumed.pop(uid, None)
            now = (new["node"], new["needs"])
            if new["phase"] == "Running":
                self._starting.pop(uid, None)
            else:
                self._starting[uid] = now
            return self._hold(uid, now)
        return self._hold(uid, (self.assumed[uid], new["needs"]) if uid in self.assumed else None)

    def assume(self, pod: Json, node: str) -> None:
        uid = pod["metadata"]["uid"]
        self.assumed[uid] = node
        self._starting[uid] = (node, pod["needs"])
        self._hold(uid, (node, pod["needs"]))

    def forget(self, uid: str) -> None:
        """The assumed binding didn't come to be."""
        if self.assumed.pop(uid, None) is not None:
            self._starting.pop(uid, None)
            self._hold(uid, None)

    def held_on(self, node: str) -> tuple[list[tuple[str, int]], list[Claim]]:
        """Amounts per resource and claims on a node."""
        return list(self.amounts[node].items()), sorted(k for k, v in self.claims[node].items() if v > 0)

    def running_on(self, node: str) -> Amounts:
        """What pods that run hold on a node, without those that are only bound yet."""
        amounts = Counter(self.amounts[node])
        for where, needs in self._starting.values():
            if where == node:
                amounts.subtract(dict(needs.requests))
        return tuple(sorted((k, v) for k, v in amounts.items() if v > 0))

    def _hold(self, uid: str, now: tuple[str, Needs] | None) -> bool:
        before = self._held.get(uid)
        if before == now:
            return False
        for held, sign in ((before, -1), (now, 1)):
            if held is not None:
                node, needs = held
                self.changed.add(node)
                amounts, claims = self.amounts[node], self.claims[node]
                for resource, value in needs.requests:
                    amounts[resource] += sign * value
                for claim in needs.claims:
                    claims[claim] += sign
        if now is None:
            self._held.pop(uid, None)
        else:
            self._held[uid] = now
        return True


def holdings(pods: Iterable[Json]) -> Iterator[Holding]:
    """What running pods hold, and who could be asked to give it up."""
    for pod in pods:
        if pod["node"] and not is_over(pod):
            meta = pod["metadata"]
            gang = meta["labels"].get(c.LABEL_POD_GANG)
            yield Holding(
                namespace=meta["namespace"],
                pod=meta["name"],
                node=pod["node"],
                needs=pod["needs"],
                gang=f"{meta['namespace']}/{gang}" if gang else None,
                priority=pod["priority"],
                is_leaving=bool(meta["deletionTimestamp"]),
                is_pinned=pod["pinned"],
            )


def snapshot(nodes: Iterable[Json], topologies: Iterable[Json], usage: Usage) -> Snapshot:
    return Snapshot(
        nodes=tuple(with_usage(n["node"], usage) for n in nodes), topologies=tuple(t["topology"] for t in topologies)
    )


def with_usage(node: Node, usage: Usage) -> Node:
    return Node(
        name=node.name,
        labels=node.labels,
        allocatable=node.allocatable,
        used=tuple(sorted((k, v) for k, v in usage.amounts[node.name].items() if v)),
        used_claims=tuple(sorted(k for k, v in usage.claims[node.name].items() if v > 0)),
        taints=node.taints,
        unschedulable=node.unschedulable,
        ready=node.ready,
        zones=node.zones,
        zoned=node.zoned,
    )


def gang_of(
    pod_gang: Json,
    pod_at: Lookup,
    assumed: Mapping[str, str],
    schedulers: Container[str],
    leaving: Callable[[Json], Iterable[Json]] = lambda pod_gang: (),
) -> Gang:
    """The PodGang with those of its referenced pods that live. `ready`: Initialized and not being deleted.

    Pods of other schedulers than these are members that nobody here binds. `leaving`: pods of a gang that still hold a
    node on their way out; they matter where it takes over its own place.
    """
    meta, spec = pod_gang["metadata"], pod_gang.get("spec") or {}
    annotations = meta.get("annotations") or {}
    packing = annotations.get(c.ANNOTATION_PLACEMENT_POLICY)
    pods: list[Json] = []
    groups = []
    for group in spec.get("podgroups") or ():
        found = [pod for pod in staying_pods(group, meta["namespace"], pod_at) if not is_over(pod)]
        pods += found
        members = tuple(_member(pod, assumed, schedulers) for pod in sorted(found, key=_pod_order))
        minimum = int(group.get("minReplicas") or 0)
        groups.append(PodGroup(group["name"], minimum, members, _constraint(group)))
    bases = {pod["metadata"]["labels"].get(c.LABEL_BASE_POD_GANG) for pod in pods} - {None, meta["name"]}
    reuse = _reused(spec, meta["namespace"])
    before = leaving(pod_gang) if reuse == f"{meta['namespace']}/{meta['name']}" else ()
    return Gang(
        namespace=meta["namespace"],
        name=meta["name"],
        podgroups=tuple(groups),
        constraint=_constraint(spec),
        groups=tuple(
            GroupConfig(g["name"], tuple(g.get("podGroupNames") or ()), _constraint(g))
            for g in spec.get("topologyConstraintGroupConfigs") or ()
        ),
        topology=annotations.get(c.ANNOTATION_TOPOLOGY_NAME),
        priority=max((pod["priority"] for pod in pods), default=0),
        created=meta.get("creationTimestamp", ""),
        base=min(bases, default=None, key=str),
        ready=condition(pod_gang, c.CONDITION_PODGANG_INITIALIZED).get("status") == "True"
        and not meta.get("deletionTimestamp"),
        owner=_owner(meta) if spec.get("spreadConstraints") else None,
        spread=tuple(x["topologyKey"] for x in spec.get("spreadConstraints") or ()),
        reuse=reuse,
        packing=packing if packing in PACKINGS else None,
        leaving=tuple((p["node"], p["needs"]) for p in sorted(before, key=_pod_order)),
    )


def staying_pods(group: Json, namespace: str, pod_at: Lookup) -> Iterator[Json]:
    """Those that a podgroup of a PodGang in `namespace` names, and that aren't on their way out."""
    for ref in group.get("podReferences") or ():
        pod = pod_at(ref.get("namespace") or namespace, ref["name"])
        if pod is not None and not pod["metadata"]["deletionTimestamp"]:
            yield pod


def _owner(meta: Json) -> str | None:
    """What gangs of all replicas of one PodCliqueSet have in common."""
    controllers = [r.get("uid") for r in meta.get("ownerReferences") or () if r.get("controller")]
    part_of = (meta.get("labels") or {}).get("app.kubernetes.io/part-of")
    found = controllers[0] if controllers else part_of
    return f"{meta['namespace']}/{found}" if found else None


def _reused(spec: Json, namespace: str) -> str | None:
    reference = spec.get("reuseReservationRef") or {}
    return f"{reference.get('namespace') or namespace}/{reference['name']}" if reference.get("name") else None


def single(pod: Json, assumed: Mapping[str, str], schedulers: Container[str]) -> Gang:
    """A pod without a gang, as a gang of one."""
    meta = pod["metadata"]
    return Gang(
        namespace=meta["namespace"],
        name=NAME_OF_SINGLE.format(meta["name"]),
        podgroups=(PodGroup(meta["name"], 1, (_member(pod, assumed, schedulers),)),),
        priority=pod["priority"],
        created=meta["creationTimestamp"],
    )


def _member(pod: Json, assumed: Mapping[str, str], schedulers: Container[str]) -> Member:
    meta = pod["metadata"]
    return Member(
        namespace=meta["namespace"],
        name=meta["name"],
        needs=pod["needs"],
        node=pod["node"] or assumed.get(meta["uid"]),
        is_gated=pod["gated"] or pod["scheduler"] not in schedulers,
        former=pod["former"],
    )


def _pod_order(pod: Json) -> tuple[int, str]:
    index = pod["metadata"]["labels"].get(c.LABEL_POD_INDEX, "")
    return int(index) if index.isdigit() else 0, pod["metadata"]["name"]


def _constraint(holder: Json) -> Constraint:
    pack = ((holder.get("topologyConstraint") or {}).get("packConstraint")) or {}
    return Constraint(pack.get("required") or None, pack.get("preferred") or None)
