"""A simulated cluster for stories: API server, working nodes, a scheduler that binds what is ungated, an operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from grove_operator.api.kinds import ALL_KINDS, DYNAMO_GRAPH_DEPLOYMENT, EVENT, POD, POD_CLIQUE_SET, Json, Kind
from grove_operator.core.settings import Settings
from grove_operator.engine.informer import Informer
from grove_operator.engine.operator import Operator
from grove_operator.engine.ports import ApiError, Clock, KubeApi, WatchEvent
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from grove_operator.sim.nodeagent import Mood, SimNodeAgent

INPUTS = Path(__file__).parent.parent / "golden" / "inputs"


def load(name: str) -> Json:
    document: Json = yaml.safe_load((INPUTS / name).read_text())
    return document


class BindEverything:
    """A scheduler for tests: every ungated pod goes to the one node, which has room for all."""

    def __init__(self, api: KubeApi, clock: Clock) -> None:
        self._api = api
        self._pods = Informer(api, clock, POD, self._on_change)
        self._due: asyncio.Queue[Json] = asyncio.Queue()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            while True:
                pod = await self._due.get()
                meta = pod["metadata"]
                target = {"kind": "Node", "name": "node-1"}
                binding: Json = {"metadata": {"name": meta["name"], "uid": meta["uid"]}, "target": target}
                try:
                    await self._api.create(POD, meta["namespace"], binding, subresource_of=f"{meta['name']}/binding")
                except ApiError:
                    continue

    def _on_change(self, old: Json | None, new: Json | None) -> None:
        spec = new["spec"] if new else {}
        if new and not spec.get("nodeName") and not spec.get("schedulingGates"):
            self._due.put_nowait(new)


class LateWatches:
    """A `KubeApi` whose watches of some kinds are late."""

    def __init__(self, api: SimApi, clock: SimClock, late: dict[str, float]) -> None:
        self.get, self.list = api.get, api.list
        self.create, self.patch, self.delete = api.create, api.patch, api.delete
        self._api, self._clock, self._late = api, clock, late

    async def watch(self, kind: Kind, resource_version: str, **selectors: str) -> AsyncIterator[WatchEvent]:
        async for event in self._api.watch(kind, resource_version, **selectors):
            await self._clock.sleep(self._late.get(kind.kind, 0.0))
            yield event


class World:
    """`api` sees as the test does; the operator writes as user "operator", the scheduler as "scheduler"."""

    def __init__(
        self, settings: Settings | None = None, *, start_s: float = 0.0, is_healthy: Mood = lambda pod: True
    ) -> None:
        self._settings, self._start_s, self._is_healthy = settings, start_s, is_healthy
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.operator: Operator | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._late: dict[str, float] = {}

    def start(self) -> None:
        self.start_operator()
        self._start_scheduler()
        nodes = SimNodeAgent(self.api.as_user("nodes"), self.clock, start_s=self._start_s, is_healthy=self._is_healthy)
        self._tasks["nodes"] = asyncio.create_task(nodes.run())

    def _start_scheduler(self) -> None:
        scheduler = BindEverything(self.api.as_user("scheduler"), self.clock)
        self._tasks["scheduler"] = asyncio.create_task(scheduler.run())

    async def restart_scheduler(self) -> None:
        """It tries every pending pod once more."""
        await self.stop_scheduler()
        self._start_scheduler()

    async def restart_after_loss(self) -> None:
        """The scheduler is back, and everything finds its place."""
        self._start_scheduler()
        await self.rest()

    def operator_hears_late_of(self, kind: Kind, lag_s: float) -> None:
        """The watch of that kind alone is late, from the next event on."""
        self._late[kind.kind] = lag_s

    def start_operator(self) -> None:
        api = LateWatches(self.api.as_user("operator"), self.clock, self._late)
        self.operator = Operator(api, self.clock, settings=self._settings)
        self._tasks["operator"] = asyncio.create_task(self.operator.run())

    def start_given_operator(self) -> None:
        """One that the story made itself."""
        assert self.operator is not None
        self._tasks["operator"] = asyncio.create_task(self.operator.run())

    def start_operator_if_dead(self) -> None:
        if "operator" not in self._tasks:
            self.start_operator()

    def kill_operator(self) -> None:
        """At once: requests under way are answered to nobody."""
        self._tasks.pop("operator").cancel()

    async def stop_operator(self) -> None:
        await _end(self._tasks.pop("operator"))

    async def stop_scheduler(self) -> None:
        await _end(self._tasks.pop("scheduler"))

    async def stop_nodes(self) -> None:
        """As if every node died: pods stay as they are, terminating ones too."""
        await _end(self._tasks.pop("nodes"))

    async def stop(self) -> None:
        for task in self._tasks.values():
            await _end(task)

    async def apply(self, obj: Json) -> Json:
        kind = {k.kind: k for k in (POD_CLIQUE_SET, DYNAMO_GRAPH_DEPLOYMENT)}[obj["kind"]]
        return await self.api.create(kind, obj["metadata"]["namespace"], obj)

    async def rest(self, seconds: float = 30.0) -> None:
        """Let everything happen that will happen."""
        await self.clock.advance(seconds)

    def writes_of(self, user: str) -> int:
        return sum(1 for w in self.api.writes if w.user == user and w.kind != EVENT.kind)

    def names(self, kind: Kind) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.api.objects(kind)]

    def everything(self) -> list[str]:
        """kind/name of all objects but Events."""
        return sorted(f"{k.kind}/{name}" for k in ALL_KINDS if k is not EVENT for name in self.names(k))

    def pods(self, clique: str) -> list[Json]:
        return [p for p in self.api.objects(POD) if p["metadata"]["labels"]["grove.io/podclique"] == clique]


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


@asynccontextmanager
async def world(
    settings: Settings | None = None, *, start_s: float = 0.0, is_healthy: Mood = lambda pod: True
) -> AsyncIterator[World]:
    """`start_s`: how long containers take to become Ready; unhealthy pods run but never do."""
    it = World(settings, start_s=start_s, is_healthy=is_healthy)
    it.start()
    await it.clock.settle()
    try:
        yield it
    finally:
        await it.stop()
