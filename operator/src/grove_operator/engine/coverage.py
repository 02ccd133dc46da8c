"""Tells every ClusterTopologyBinding which of the cluster's nodes its levels cover, in a condition.

Runs beside the scheduler, the one process that knows all nodes. Nodes that come and go together are one write, and
nothing is written while the answer stays the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from grove_operator.api.conditions import find, merged
from grove_operator.api.constants import CONDITION_NODES_COVERED
from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, Json
from grove_operator.core.coverage import coverage_condition
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, Clock, Conflict, KubeApi, NotFound

log = logging.getLogger(__name__)

GATHER_S = 2.0
RETRY_S = 10.0

NodeLabels = Callable[[], Iterable[Mapping[str, str]]]


class TopologyCoverage:
    """`run` until cancelled. `nodes_changed` is to be called when a node comes, goes, or changes its labels."""

    def __init__(self, api: KubeApi, clock: Clock, labels: NodeLabels, nodes_are_known: asyncio.Event) -> None:
        self._api, self._clock, self._labels, self._nodes_are_known = api, clock, labels, nodes_are_known
        self._due = asyncio.Event()
        self._bindings = Informer(api, clock, CLUSTER_TOPOLOGY_BINDING, lambda old, new: self._due.set())

    def nodes_changed(self) -> None:
        self._due.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bindings.run())
            await self._bindings.synced.wait()
            await self._nodes_are_known.wait()
            while True:
                await self._due.wait()
                await self._clock.sleep(GATHER_S)
                self._due.clear()
                for binding in self._bindings.items():
                    await self._tell(binding)

    async def _tell(self, binding: Json) -> None:
        said = coverage_condition(binding, self._labels())
        before = find(binding, CONDITION_NODES_COVERED) or {}
        if all(before.get(key) == value for key, value in said.items()):
            return
        metadata = binding["metadata"]
        conditions = merged((binding.get("status") or {}).get("conditions"), [said], self._clock.now())
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": {"conditions": conditions}}
        try:
            await self._api.patch(CLUSTER_TOPOLOGY_BINDING, None, metadata["name"], body, subresource="status")
        except (Conflict, NotFound):
            return  # the watch tells what it has become
        except ApiError as error:
            log.warning("clustertopologybinding %s: its coverage could not be written: %s", metadata["name"], error)
            await self._clock.sleep(RETRY_S)
            self._due.set()
