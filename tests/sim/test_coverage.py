"""A topology's condition follows the nodes, and nothing is written while the answer stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from grove_operator.api.conditions import find
from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, Json
from grove_operator.engine.coverage import GATHER_S, TopologyCoverage
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock

BINDING: Json = {
    "apiVersion": CLUSTER_TOPOLOGY_BINDING.api_version,
    "kind": CLUSTER_TOPOLOGY_BINDING.kind,
    "metadata": {"name": "default"},
    "spec": {"levels": [{"domain": "rack", "key": "r"}]},
}


async def test_nodes_that_come_together_are_one_write_and_peace_is_none() -> None:
    clock = SimClock()
    api = SimApi(clock)
    nodes: list[Mapping[str, str]] = [{"r": "r0"}]
    known = asyncio.Event()
    told = TopologyCoverage(api.as_user("scheduler"), clock, lambda: nodes, known)

    def reason() -> str:
        (live,) = api.objects(CLUSTER_TOPOLOGY_BINDING)
        return (find(live, "NodesCovered") or {}).get("reason", "")

    def writes() -> int:
        return sum(1 for write in api.writes if write.user == "scheduler")

    await api.create(CLUSTER_TOPOLOGY_BINDING, None, BINDING)
    running = asyncio.create_task(told.run())
    await clock.advance(3 * GATHER_S)
    assert reason() == "", "nothing is said before the nodes are known"
    known.set()
    await clock.advance(3 * GATHER_S)
    assert (reason(), writes()) == ("AllNodesCovered", 1)
    for _ in range(5):
        nodes.append({})
        told.nodes_changed()
    await clock.advance(3 * GATHER_S)
    assert (reason(), writes()) == ("SomeNodesNotCovered", 2)
    told.nodes_changed()
    await clock.advance(10 * GATHER_S)
    assert writes() == 2
    running.cancel()
