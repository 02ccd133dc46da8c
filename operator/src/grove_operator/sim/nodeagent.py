"""Nodes that always work: bound pods become Running and Ready at once, deleted ones disappear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from grove_operator.api.kinds import POD, Json
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, Clock, KubeApi, timestamp

Mood = Callable[[Json], bool]


class SimNodeAgent:
    """Plays every node. `is_healthy(pod)` false keeps a pod Running but not Ready, at the moment it starts."""

    def __init__(
        self, api: KubeApi, clock: Clock, *, start_s: float = 0.0, is_healthy: Mood = lambda pod: True
    ) -> None:
        self._api, self._clock, self._start_s, self._is_healthy = api, clock, start_s, is_healthy
        self._changed: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._pods = Informer(api, clock, POD, self._on_change)

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            while True:
                namespace, name = await self._changed.get()
                tasks.create_task(self._play(namespace, name))

    def _on_change(self, old: Json | None, new: Json | None) -> None:
        if new and new["spec"].get("nodeName"):
            self._changed.put_nowait((new["metadata"]["namespace"], new["metadata"]["name"]))

    async def _play(self, namespace: str, name: str) -> None:
        pod = self._pods.get(namespace, name)
        if pod is None:
            return
        try:
            if pod["metadata"].get("deletionTimestamp"):
                await self._api.delete(POD, namespace, name, uid=pod["metadata"]["uid"], grace_s=0)
            elif pod.get("status", {}).get("phase") == "Pending":
                if self._start_s:
                    await self._clock.sleep(self._start_s)
                body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": self._running(pod)}
                await self._api.patch(POD, namespace, name, body, subresource="status")
        except ApiError:
            return  # gone or replaced meanwhile: its next event brings us back

    def _running(self, pod: Json) -> Json:
        now, ready = timestamp(self._clock.now()), self._is_healthy(pod)
        said = {"Initialized": True, "ContainersReady": ready, "Ready": ready}
        kept = [c for c in pod.get("status", {}).get("conditions", []) if c["type"] not in said]
        conditions = [{"type": t, "status": str(v), "lastTransitionTime": now} for t, v in said.items()]
        containers = [
            {
                "name": c["name"],
                "ready": ready,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for c in pod["spec"].get("containers", [])
        ]
        return {"phase": "Running", "startTime": now, "conditions": kept + conditions, "containerStatuses": containers}
