"""A whole simulated cluster: API server, nodes, and the production operator and scheduler as processes that can die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, NODE, Json
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.operator import Operator
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from grove_operator.sim.faults import FaultyApi, SkewedClock, Weather
from grove_operator.sim.kubelets import BLOCK, HOST, RACK, Fleet, Kubelets

TOPOLOGY: Json = {
    "metadata": {"name": "default"},
    "spec": {
        "levels": [
            {"domain": "block", "key": BLOCK},
            {"domain": "rack", "key": RACK},
            {"domain": "host", "key": HOST},
        ]
    },
}
PROCESSES = ("operator", "scheduler")


@dataclass(slots=True)
class _Process:
    weather: Weather
    clock: SkewedClock
    task: asyncio.Task[None] | None = None
    dies_after_writes: int = -1


class SimCluster:
    """`api` sees it as a user does. Call `start` in a running loop, `stop` at the end."""

    def __init__(
        self,
        seed: int,
        fleet: Fleet | None = None,
        start_s: tuple[float, float] = (1.0, 4.0),
        end_s: tuple[float, float] = (0.1, 1.0),
        gc_s: tuple[float, float] = (0.01, 1.0),
    ) -> None:
        """How long pods take to become Ready, and to be gone; how long the garbage collector, to find an orphan."""
        self.random = random.Random(seed)  # noqa: S311 - seeds replay, they hide nothing
        self.clock = SimClock()
        self.api = SimApi(self.clock, user="user")
        self.kubelets = Kubelets(self.api.as_user("nodes"), self.clock, self._rng(), start_s=start_s, end_s=end_s)
        collector = self._rng()
        self.api.collect_garbage_late(lambda: collector.uniform(*gc_s))
        self.on_fault: Callable[[str], None] = lambda text: None
        self._fleet = fleet or Fleet()
        self._nodes: asyncio.Task[None] | None = None
        self._errands: list[asyncio.Task[None]] = []
        self._processes = {name: _Process(Weather(), SkewedClock(self.clock)) for name in PROCESSES}

    async def start(self) -> None:
        for node in self._fleet.nodes():
            await self.api.create(NODE, None, node)
        await self.api.create(CLUSTER_TOPOLOGY_BINDING, None, TOPOLOGY)
        self._nodes = asyncio.create_task(self.kubelets.run())
        for name in PROCESSES:
            self.start_process(name)
        await self.clock.settle()

    async def stop(self) -> None:
        tasks = [p.task for p in self._processes.values() if p.task] + ([self._nodes] if self._nodes else [])
        tasks += self._errands
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.api.stop()

    def weather(self, name: str) -> Weather:
        return self._processes[name].weather

    def set_clock(self, name: str, offset_s: float) -> None:
        self._processes[name].clock.offset_s = offset_s

    def start_process(self, name: str) -> None:
        """If it runs already, it goes on, and whatever was to kill it is called off."""
        process = self._processes[name]
        process.dies_after_writes = -1
        if process.task is not None and not process.task.done():
            return
        process.weather.on_write = lambda *what: self._wrote(name, *what)
        api = FaultyApi(self.api.as_user(name), self.clock, process.weather, self._rng())
        program = Operator(api, process.clock) if name == "operator" else GangScheduler(api, process.clock)
        process.task = asyncio.create_task(program.run())

    def kill(self, name: str) -> None:
        """At once: requests under way take effect or don't, nobody hears the answers."""
        process = self._processes[name]
        if process.task is not None:
            process.task.cancel()

    def kill_after_writes(self, name: str, count: int) -> None:
        """It dies right after its `count`-th write from now on took effect."""
        self._processes[name].dies_after_writes = count

    def is_running(self, name: str) -> bool:
        task = self._processes[name].task
        return task is not None and not task.done()

    def spawn(self, errand: Coroutine[Any, Any, None]) -> None:
        """Something that goes on beside the story, until the end."""
        self._errands.append(asyncio.create_task(errand))

    def check_alive(self) -> None:
        """Raises what a process died of, if nobody killed it."""
        for name in PROCESSES:
            task = self._processes[name].task
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def _wrote(self, name: str, verb: str, kind: str, what: str, subresource: str) -> None:
        process = self._processes[name]
        if process.dies_after_writes > 0:
            process.dies_after_writes -= 1
            if process.dies_after_writes == 0:
                self.on_fault(f"{name} dies after {verb} {kind}{'/' + subresource if subresource else ''} {what}")
                self.kill(name)

    def _rng(self) -> random.Random:
        return random.Random(self.random.getrandbits(64))  # noqa: S311
