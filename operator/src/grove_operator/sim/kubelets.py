"""Nodes with fates: containers take time to start, wait for their parents, crash; nodes are lost and come back.

    bound ── start_s ──> init containers (grove-initc is really evaluated) ──> Ready ──> crash, node loss ──> not Ready

What is bound to a lost node stays as it is, also when it is deleted, until the node is back or is given up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from grove_operator.api.constants import INIT_CONTAINER, LABEL_POD_CLIQUE, LABEL_POD_GANG
from grove_operator.api.kinds import NODE, POD, Json
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, Clock, timestamp
from grove_operator.sim.apiserver import SimApi

BLOCK, RACK, HOST = "topology.kubernetes.io/block", "topology.kubernetes.io/rack", "kubernetes.io/hostname"
GIVEN_UP_S = 90.0
"""How long after a node's loss its pods are removed by force."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """`blocks` x `racks` x `hosts` nodes with `gpus` each."""

    blocks: int = 2
    racks: int = 2
    hosts: int = 2
    gpus: int = 8

    def nodes(self) -> list[Json]:
        return [
            _node(f"node-{b}-{r}-{h}", f"block-{b}", f"rack-{b}-{r}", self.gpus)
            for b in range(self.blocks)
            for r in range(self.racks)
            for h in range(self.hosts)
        ]


def _node(name: str, block: str, rack: str, gpus: int) -> Json:
    room = {"cpu": "64", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {BLOCK: block, RACK: rack, HOST: name}},
        "spec": {},
        "status": {"allocatable": room, "capacity": room, "conditions": [{"type": "Ready", "status": "True"}]},
    }


class Kubelets:
    """Plays every node. An image whose tag is "bad" never becomes Ready."""

    def __init__(
        self,
        api: SimApi,
        clock: Clock,
        rng: random.Random,
        *,
        start_s: tuple[float, float] = (1, 4),
        end_s: tuple[float, float] = (0.1, 1.0),
    ) -> None:
        """`start_s`, `end_s`: how long pods take to become Ready, and to be gone once they are deleted."""
        self._api, self._clock, self._rng, self._start_s, self._end_s = api, clock, rng, start_s, end_s
        self.lost: dict[str, float] = {}
        self._pods = Informer(api, clock, POD, self._on_change)
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: set[str] = set()
        self._waiting: dict[str, Json] = {}

    async def run(self) -> None:
        """Runs until cancelled."""
        try:
            await self._pods.run()
        finally:
            for task in self._tasks:
                task.cancel()

    async def lose(self, node: str) -> None:
        """The node is silent: NotReady, and so are its pods."""
        self.lost[node] = self._clock.monotonic()
        await self._node_says(node, "Unknown")
        for pod in self._on(node):
            await self._patch(pod, _conditions(pod, {"Ready": False}, timestamp(self._clock.now())))
        self._spawn(self._give_up(node, self.lost[node]))

    async def bring_back(self, node: str) -> None:
        """The node speaks again: pods that were deleted meanwhile end, the others are Ready again."""
        if self.lost.pop(node, None) is None:
            return
        await self._node_says(node, "True")
        for pod in self._on(node):
            self._on_change(None, pod)
            if pod.get("status", {}).get("phase") == "Running" and not _is_bad(pod):
                await self._patch(pod, _conditions(pod, {"Ready": True}, timestamp(self._clock.now())))

    async def crash(self, pod: Json, seconds: float | None = None) -> None:
        """Its main container ends with code 1 and works again after that time, or a drawn one."""
        if pod.get("status", {}).get("phase") != "Running" or pod["spec"].get("nodeName") in self.lost:
            return
        said = _conditions(pod, {"Ready": False}, timestamp(self._clock.now()))
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        said["containerStatuses"] = [
            {**c, "ready": False, "started": False, "restartCount": c["restartCount"] + 1, "lastState": ended}
            for c in pod["status"].get("containerStatuses") or ()
        ]
        await self._patch(pod, said)
        self._spawn(self._recover(pod, self._rng.uniform(2, 20) if seconds is None else seconds))

    async def evict(self, pod: Json) -> None:
        """The node throws it out: Failed, for good."""
        said = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        await self._patch(pod, {**said, **_conditions(pod, {"Ready": False}, timestamp(self._clock.now()))})

    def _on_change(self, old: Json | None, new: Json | None) -> None:
        if new and new["spec"].get("nodeName"):
            if new["metadata"].get("deletionTimestamp"):
                self._spawn(self._end(new))
            elif new["status"].get("phase") == "Pending" and new["metadata"]["uid"] not in self._starting:
                self._starting.add(new["metadata"]["uid"])
                self._spawn(self._start(new))
        for pod in list(self._waiting.values()):
            if self._may_start(pod):
                self._waiting.pop(pod["metadata"]["uid"], None)
                self._spawn(self._become_running(pod))

    async def _start(self, pod: Json) -> None:
        await self._clock.sleep(self._rng.uniform(*self._start_s))
        if self._may_start(pod):
            await self._become_running(pod)
        else:
            self._waiting[pod["metadata"]["uid"]] = pod

    def _may_start(self, pod: Json) -> bool:
        """Every parent that the init container names has enough Ready pods in the gang."""
        for container in pod["spec"].get("initContainers") or ():
            if container["name"] != INIT_CONTAINER:
                continue
            for argument in container.get("args") or ():
                parent, _, count = argument.removeprefix("--podcliques=").rpartition(":")
                if self._ready(pod["metadata"]["labels"].get(LABEL_POD_GANG, ""), parent) < int(count):
                    return False
        return True

    def _ready(self, gang: str, clique: str) -> int:
        labels = ({**p["metadata"].get("labels", {})} for p in self._pods.items() if _is_ready(p))
        return sum(x.get(LABEL_POD_GANG) == gang and x.get(LABEL_POD_CLIQUE) == clique for x in labels)

    async def _become_running(self, pod: Json) -> None:
        if pod["spec"]["nodeName"] in self.lost:
            self._starting.discard(pod["metadata"]["uid"])
            return
        live, now, ready = self._live(pod), timestamp(self._clock.now()), not _is_bad(pod)
        if live is None or live["metadata"].get("deletionTimestamp") or live["status"].get("phase") != "Pending":
            return
        said = _conditions(live, {"Initialized": True, "ContainersReady": ready, "Ready": ready}, now)
        state = {"running": {"startedAt": now}}
        said["containerStatuses"] = [
            {"name": c["name"], "ready": ready, "started": True, "restartCount": 0, "state": state}
            for c in pod["spec"].get("containers", [])
        ]
        await self._patch(live, {"phase": "Running", "startTime": now, **said})

    async def _recover(self, pod: Json, seconds: float) -> None:
        await self._clock.sleep(seconds)
        live = self._live(pod)
        if live is None or live["spec"]["nodeName"] in self.lost or live["status"].get("phase") != "Running":
            return
        said = _conditions(live, {"Ready": not _is_bad(live)}, timestamp(self._clock.now()))
        said["containerStatuses"] = [
            {**c, "ready": not _is_bad(live), "started": True} for c in live["status"].get("containerStatuses") or ()
        ]
        await self._patch(live, said)

    async def _end(self, pod: Json) -> None:
        await self._clock.sleep(self._rng.uniform(*self._end_s))
        if pod["spec"]["nodeName"] not in self.lost:
            await self._remove(pod)

    async def _give_up(self, node: str, since: float) -> None:
        """As the node controller and then an administrator would: delete what ran there, by force."""
        await self._clock.sleep(GIVEN_UP_S)
        if self.lost.get(node) != since:
            return
        for pod in self._on(node):
            await self._remove(pod)

    async def _remove(self, pod: Json) -> None:
        meta = pod["metadata"]
        try:
            await self._api.delete(POD, meta["namespace"], meta["name"], uid=meta["uid"], grace_s=0)
        except ApiError:
            return

    async def _node_says(self, node: str, ready: str) -> None:
        body = {"status": {"conditions": [{"type": "Ready", "status": ready}]}}
        await self._api.patch(NODE, None, node, body, subresource="status")

    async def _patch(self, pod: Json, status: Json) -> None:
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        try:
            await self._api.patch(POD, meta["namespace"], meta["name"], body, subresource="status")
        except ApiError:
            return

    def _live(self, pod: Json) -> Json | None:
        live = self._api.find(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
        return live if live and live["metadata"]["uid"] == pod["metadata"]["uid"] else None

    def _on(self, node: str) -> list[Json]:
        return [pod for pod in self._api.objects(POD) if pod["spec"].get("nodeName") == node]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_bad(pod: Json) -> bool:
    return any(c.get("image", "").endswith(":bad") for c in pod["spec"].get("containers", ()))


def _is_ready(pod: Json) -> bool:
    said = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in said)


def _conditions(pod: Json, said: dict[str, bool], now: str) -> Json:
    kept = [c for c in pod.get("status", {}).get("conditions") or () if c["type"] not in said]
    fresh = [{"type": t, "status": str(v), "lastTransitionTime": now} for t, v in said.items()]
    return {"conditions": kept + fresh}
