"""The scheduler killed amid bindings, and two of them at once without a Lease, on the simulated API server."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from grove_operator.api.kinds import POD
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.ports import Overloaded
from grove_operator.sim.apiserver import Request, SimApi
from grove_operator.sim.clock import SimClock
from tests.support.placing import gang_of, gpu_node, gpu_pod

GANGS, PODS = 200, 4
RACKS = {
    "apiVersion": "grove.io/v1alpha1",
    "kind": "ClusterTopologyBinding",
    "metadata": {"name": "default"},
    "spec": {"levels": [{"domain": "rack", "key": "rack"}]},
}


class World:
    """Just enough nodes for all gangs, two hosts of 8 GPUs to a rack."""

    def __init__(self) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        hosts = GANGS * PODS // 8
        self.api.seed(RACKS, *(gpu_node(f"n{i:03}", labels={"rack": f"r{i // 2:02}"}) for i in range(hosts)))
        for g in range(GANGS):
            names = [f"g{g}-{i}" for i in range(PODS)]
            pods = [{**gpu_pod(p, f"g{g}"), "status": {"phase": "Pending"}} for p in names]
            self.api.seed(*pods, gang_of(f"g{g}", names, required="rack"))

    def start(self, user: str = "scheduler") -> asyncio.Task[None]:
        return asyncio.create_task(GangScheduler(self.api.as_user(user), self.clock).run())

    def judge(self) -> None:
        pods = self.api.objects(POD)
        assert all(p["spec"].get("nodeName") for p in pods), "not all are placed"
        per_node = Counter(p["spec"]["nodeName"] for p in pods)
        assert max(per_node.values()) <= 8, "over-allocated"
        for g in range(GANGS):
            mine = [p["spec"]["nodeName"] for p in pods if p["metadata"]["labels"]["grove.io/podgang"] == f"g{g}"]
            assert len({int(n[1:]) // 2 for n in mine}) == 1, "a rack is left"


async def end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_fifty_kills_amid_bindings_leave_every_gang_whole() -> None:
    world, rng, killed_amid = World(), random.Random(1), 0
    for _ in range(50):
        task = world.start()
        bound, limit = 0, rng.randint(1, 24)

        def kill(request: Request, task: asyncio.Task[None] = task, limit: int = limit) -> None:
            nonlocal bound
            if request.subresource == "binding":
                bound += 1
                if bound > limit:
                    task.cancel()
                    raise Overloaded("the connection died with its client")

        world.api.before_request(kill)
        await world.clock.settle()
        await end(task)
        per_gang = Counter(
            p["metadata"]["labels"]["grove.io/podgang"] for p in world.api.objects(POD) if p["spec"].get("nodeName")
        )
        killed_amid += any(0 < n < PODS for n in per_gang.values())
    assert killed_amid > 20, "most kills were amid a gang"
    world.api.before_request(None)
    task = world.start()
    await world.clock.advance(120)
    world.judge()
    await end(task)


async def test_two_schedulers_without_a_lease_take_the_same_decisions_and_bind_once() -> None:
    world = World()
    tasks = [world.start("one"), world.start("two")]
    await world.clock.advance(300)
    world.judge()
    await end(*tasks)
