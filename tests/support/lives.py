"""The life of a workload of a hundred pods, and what must hold of it however often it is disturbed.

create ──> scale ──> update ──> terminate ──> delete
   each phase ends when all is settled, and its end is compared with that of an undisturbed life
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from grove_operator.api.constants import ANNOTATION_FORMER_NODE, ANNOTATION_REPLACES_PLACED
from grove_operator.api.kinds import (
    HPA,
    NODE,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    ROLE,
    ROLE_BINDING,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.clock import RealClock
from grove_operator.sim.invariants.ownership import NothingIsLeftOver, OnePodPerIndex
from grove_operator.sim.invariants.places import EveryPodIsInItsGang, NoNodeIsOverfull, RequiredDomainsHold
from grove_operator.sim.invariants.witness import CLIQUE, INDEX, MANAGED_BY, OURS, Witness
from tests.golden.graph import normal
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.operated import Namespace
from tests.support.placing import until

PATIENCE_S = 240.0
QUIET_S = 3.0
ENDS_S = 60.0
KINDS = (
    POD_CLIQUE_SET, SCALING_GROUP, POD_CLIQUE, POD_GANG, POD, SERVICE, HPA, ROLE, ROLE_BINDING, SECRET, SERVICE_ACCOUNT,
)  # fmt: skip
PASSING = (
    "nodeName", "tolerations", "hostIP", "hostIPs", "podIP", "podIPs", "containerID", "placementScore",
    ANNOTATION_REPLACES_PLACED, ANNOTATION_FORMER_NODE, "reuseReservationRef",
)  # fmt: skip
"""What depends on places (former ones, too) and addresses or is put in when the pod is bound; and what matters only
until it is Ready."""
TOKEN_VOLUME = re.compile(r"(?<=^kube-api-access)-\w{5}$")
Graph = dict[str, Json]


def workload() -> Json:
    """2 x (6 frontends, 8 decoders, 9 replicas of a leader with 3 workers): 100 pods of one GPU."""
    pod = {"containers": [{"name": "main", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
    three = {"rollingUpdate": {"maxUnavailable": 3}}
    cliques = [
        clique("f", 6, 6, podSpec=pod) | three,
        clique("d", 8, 2, podSpec=pod) | three,
        clique("l", 1, podSpec=pod),
        clique("w", 3, podSpec=pod),
    ]
    groups = [group("g", ["l", "w"], 9, 2, **three)]
    return podcliqueset(cliques, groups, replicas=2, terminationDelay="1h")


@dataclass
class Life:
    """One run through all phases in a namespace of its own. `ends`: the graph at the end of each phase."""

    here: Namespace
    model: Life | None = None
    """An undisturbed one, at whose ends this one has to arrive."""
    ends: dict[str, Graph] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)

    @property
    def phases(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {
            "create": self._create,
            "scale": self._scale,
            "update": self._update,
            "terminate": self._terminate,
            "delete": self._delete,
        }

    async def live(self, before: Callable[[str], None] = lambda phase: None) -> None:
        """All phases; `before` is told which one begins. AssertionError when one does not end as it should."""
        for name, phase in self.phases.items():
            before(name)
            began = time.monotonic()
            await phase()
            self.took_s[name] = time.monotonic() - began
            await self._end(name)

    async def _create(self) -> None:
        await tried(lambda: self.here.apply(workload()))
        await self._settled()

    async def _scale(self) -> None:
        for kind, name, replicas in (
            (SCALING_GROUP, "web-0-g", 11),
            (POD_CLIQUE, "web-1-d", 5),
            (SCALING_GROUP, "web-1-g", 7),
            (POD_CLIQUE, "web-0-d", 9),
            (POD_CLIQUE_SET, "web", 3),
        ):
            await tried(lambda k=kind, n=name, r=replicas: self.here.scale(k, n, r))  # type: ignore[misc]
        await self._settled()
        await tried(lambda: self.here.scale(POD_CLIQUE_SET, "web", 2))
        await self._settled()

    async def _update(self) -> None:
        obj = (await self.here.all(POD_CLIQUE_SET))[0]
        for entry in obj["spec"]["template"]["cliques"]:
            entry["spec"]["podSpec"]["containers"][0]["image"] = "y"
        change: Json = {"spec": {"template": {"cliques": obj["spec"]["template"]["cliques"]}}}
        await tried(lambda: self.here.api.patch(POD_CLIQUE_SET, self.here.name, "web", change))

        async def is_through() -> bool:
            status = (await self.here.all(POD_CLIQUE_SET))[0]["status"]
            images = {p["spec"]["containers"][0]["image"] for p in await self.here.all(POD)}
            return images == {"y"} and bool((status.get("updateProgress") or {}).get("updateEndedAt"))

        await until(is_through, "the update is through", PATIENCE_S)
        await self._settled()

    async def _terminate(self) -> None:
        """A pod of a clique without one to spare is lost, no node takes another one: its whole replica is recycled."""
        before = {o["metadata"]["uid"] for o in await self._cliques_of("0")}
        others = {o["metadata"]["uid"] for o in await self._cliques_of("1")}
        short: Json = {
            "spec": {"template": {"terminationDelay": "4s"}}
        }  # only now: leaders are away for longer than that
        await tried(lambda: self.here.api.patch(POD_CLIQUE_SET, self.here.name, "web", short))
        await self._cordon(True)
        lost = (await self.here.pods("web-0-f"))[0]["metadata"]["name"]
        await tried(lambda: self.here.api.delete(POD, self.here.name, lost, grace_s=0))

        async def is_recycled() -> bool:
            return not before & {o["metadata"]["uid"] for o in await self._cliques_of("0")}

        await until(is_recycled, "the replica is recycled", PATIENCE_S)
        await self._cordon(False)
        await self._settled()
        assert others == {o["metadata"]["uid"] for o in await self._cliques_of("1")}, "the other replica was recycled"

    async def _delete(self) -> None:
        await tried(lambda: self.here.api.delete(POD_CLIQUE_SET, self.here.name, "web"))

        async def is_empty() -> bool:
            return not await self._objects()

        await until(is_empty, "nothing is left behind", PATIENCE_S)

    async def _cliques_of(self, replica: str) -> list[Json]:
        found = await self.here.all(POD_CLIQUE)
        return [o for o in found if o["metadata"]["labels"]["grove.io/podcliqueset-replica-index"] == replica]

    async def _cordon(self, is_cordoned: bool) -> None:
        for node in (await self.here.api.list(NODE)).items:
            change: Json = {"spec": {"unschedulable": is_cordoned or None}}
            await tried(lambda n=node, c=change: self.here.api.patch(NODE, None, n["metadata"]["name"], c))  # type: ignore[misc]

    async def _end(self, phase: str) -> None:
        """The graph when it is that of the model; without a model, when it has not changed for a while."""
        graph: Graph = {}

        async def is_final() -> bool:
            before = dict(graph)
            graph.clear()
            graph.update(lasting(normal(renumbered(await self._objects())), self.here.name))
            if self.model is not None:
                return graph == self.model.ends[phase]
            await asyncio.sleep(QUIET_S)
            return graph == before

        def otherwise() -> str:
            return f"{phase} ends undisturbed; {difference(self.model.ends[phase], graph) if self.model else graph}"

        await until(is_final, otherwise, ENDS_S)
        self.ends[phase] = graph

    async def _settled(self) -> None:
        """All that is wanted is Ready, nothing is orphaned, each pod stands in one gang, required domains hold."""
        found: list[str] = []

        async def is_whole() -> bool:
            objects = await self._objects()
            found[:] = [o["metadata"]["name"] + " is going" for o in objects if "deletionTimestamp" in o["metadata"]]
            found.extend(violations(objects))
            return not found and await self.here.is_settled("web")

        await until(is_whole, lambda: f"all is whole after {list(self.ends)}: {found[:5]}", PATIENCE_S)

    async def _objects(self) -> list[Json]:
        return [{**o, "kind": k.kind} for k in KINDS for o in await self.here.all(k) if _is_ours(o)]


def violations(objects: Sequence[Json]) -> list[str]:
    """What is wrong with these objects if nothing more should happen, by invariants that share no code with us."""
    witness = Witness([NothingIsLeftOver(), EveryPodIsInItsGang(), RequiredDomainsHold()])
    for obj in objects:
        witness.saw(0.0, "", None, obj)
    witness.at_rest(0.0)
    return witness.violations


def _is_ours(obj: Json) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY) == OURS or obj["metadata"]["name"] == "web"


def renumbered(objects: list[Json]) -> list[Json]:
    """The pods of each clique numbered without gaps: which indices are left when one is scaled in depends on which pods
    are older, and that on when they were made."""
    indices: dict[str, list[int]] = {}
    for pod in (o for o in objects if o["kind"] == POD.kind):
        labels = pod["metadata"]["labels"]
        indices.setdefault(labels[CLIQUE], []).append(int(labels[INDEX]))
    for pod in (o for o in objects if o["kind"] == POD.kind):
        labels = pod["metadata"]["labels"]
        rank = sum(index < int(labels[INDEX]) for index in indices[labels[CLIQUE]])
        labels[INDEX], pod["spec"]["hostname"] = str(rank), f"{labels[CLIQUE]}-{rank}"
    return objects


def lasting(graph: Graph, namespace: str) -> Graph:
    """Without times, places, addresses, and the namespace."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            left = {k: kept(v) for k, v in value.items() if not _is_passing(k)}
            return {k: v for k, v in left.items() if v != {}}
        if isinstance(value, list):
            return [kept(v) for v in value]
        return TOKEN_VOLUME.sub("", value.replace(namespace, "NS")) if isinstance(value, str) else value

    found: Graph = kept(graph)
    return found


def _is_passing(key: str) -> bool:
    return key in PASSING or key.endswith(("Time", "At", "startedAt"))


async def tried(request: Callable[[], Awaitable[Any]]) -> Any:
    """As a user would: again while nobody answers; what is not there (any more) is done."""

    async def is_done() -> bool:
        try:
            await request()
        except NotFound:
            return True
        except ApiError as error:
            told.append(f"{type(error).__name__}: {error}")
            return False
        return True

    told: list[str] = []
    return await until(is_done, lambda: f"the request is taken; {told[-1]}", PATIENCE_S)


class BoundOnce:
    """Told of every pod as it is; keeps who was seen on two nodes."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.moved: list[str] = []

    def saw(self, pod: Json) -> None:
        node = pod["spec"].get("nodeName")
        if node and self.nodes.setdefault(pod["metadata"]["uid"], node) != node:
            self.moved.append(pod["metadata"]["name"])


@asynccontextmanager
async def watched(api: HttpKubeApi, namespace: str) -> AsyncIterator[Witness]:
    """All the time: no pod on two nodes, no two active pods at one index, no node over-full. Judged at the end."""
    witness, once, clock = Witness([OnePodPerIndex(), NoNodeIsOverfull()]), BoundOnce(), RealClock()

    def told(kind: Kind) -> Callable[[Json | None, Json | None], None]:
        def on_change(old: Json | None, new: Json | None) -> None:
            shown = [None if o is None else {**o, "kind": kind.kind} for o in (old, new)]
            witness.saw(clock.monotonic(), "", *shown)
            if kind is POD and new is not None:
                once.saw(new)

        return on_change

    nodes = Informer(api, clock, NODE, told(NODE))
    pods = Informer(api, clock, POD, told(POD), namespace=namespace)
    tasks = [asyncio.create_task(informer.run()) for informer in (nodes, pods)]
    try:
        await nodes.synced.wait()
        await pods.synced.wait()
        yield witness
        await asyncio.sleep(0)
        assert not once.moved, f"bound twice: {once.moved}"
        assert not witness.violations, witness.violations[:3]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def difference(wanted: Graph, found: Graph) -> str:
    """The first few differences, object by object."""
    told = [f"missing {sorted(wanted.keys() - found.keys())[:3]}, too many {sorted(found.keys() - wanted.keys())[:3]}"]
    for key in wanted.keys() & found.keys():
        told += [f"{key}{where}" for where in _apart(wanted[key], found[key], "")]
    return "; ".join(told[:6])


def _apart(wanted: object, found: object, path: str) -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [w for k in sorted({*wanted, *found}) for w in _apart(wanted.get(k), found.get(k), f"{path}.{k}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [w for n, (one, other) in pairs for w in _apart(one, other, f"{path}[{n}]")]
    return [] if wanted == found else [f"{path}: {found!r}, undisturbed {wanted!r}"[:400]]
