"""Plays the pods that are bound to the fleet's nodes: level-triggered, one key at a time, one status write at best.

bound ──admit──> Failed (OutOf..., NodeAffinity)
           └──> references there? ──no──> CreateContainerConfigError, again after a back-off
                    └─yes─> pretended: Running and Ready in one write      real: RealPod, a write per change
deletionTimestamp ──> processes end within the grace ──> deleted with grace 0
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grove_operator.api.kinds import EVENT, POD, SERVICE, Json
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import AlreadyExists, ApiError, Conflict, NotFound, Overloaded, timestamp
from grove_operator.localcluster.agent.addresses import Addresses
from grove_operator.localcluster.agent.admission import (
    Ledger,
    Reference,
    Rejection,
    admit,
    effective_requests,
    fault_of,
    references,
)
from grove_operator.localcluster.agent.hosts import entries
from grove_operator.localcluster.agent.queue import KeyQueue
from grove_operator.localcluster.agent.realpod import Host, RealPod, is_real
from grove_operator.localcluster.agent.status import (
    HOST_IP,
    ContainerState,
    changed,
    played,
    pod_status,
    rejected_status,
    waiting,
)

log = logging.getLogger(__name__)
Key = tuple[str, str]
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 10.0
KNOWN_S = 30.0
"""How long a found Secret, ConfigMap or claim counts as found for other pretended pods."""
SHUTDOWN_GRACE_S = 10.0
NAMING_S = 0.05
FINISHED = ("Succeeded", "Failed")


@dataclass(slots=True)
class _Play:
    """What the player remembers of one pod."""

    uid: str
    real: RealPod | None = None
    admitted_at: float = 0.0
    retry_s: float = RETRY_FIRST_S
    last_fault: str = ""
    latest: Json | None = None
    """The pod as our last write left it, until the watch has caught up."""
    ending: asyncio.Task[None] | None = None


class Player:
    def __init__(self, host: Host, node_of: Callable[[str], Json | None], seed: str) -> None:
        """`node_of` gives the live Node if the agent plays it, None otherwise."""
        self._host, self._node_of = host, node_of
        self._ledger = Ledger()
        self._addresses = Addresses(seed)
        self._queue: KeyQueue[Key] = KeyQueue()
        self._plays: dict[Key, _Play] = {}
        self._known: dict[tuple[str, str, str], float] = {}
        self._naming: asyncio.TimerHandle | None = None
        self._services = Informer(host.api, host.clock, SERVICE, self._names_may_differ)
        self.pods = Informer(
            host.api,
            host.clock,
            POD,
            self._on_change,
            field_selector="spec.nodeName!=",
            trim=_without_managed_fields,
        )

    def _on_change(self, old: Json | None, new: Json | None) -> None:
        obj = new or old or {}
        self._queue.add((obj["metadata"]["namespace"], obj["metadata"]["name"]))
        self._names_may_differ(old, new)

    def _names_may_differ(self, old: Json | None, new: Json | None) -> None:
        """Writes the hosts files once for all changes of a moment, where real containers read them."""
        namespace = (new or old or {})["metadata"]["namespace"]
        if self._naming is None and namespace in self._host.hosts.namespaces:
            self._naming = asyncio.get_running_loop().call_later(NAMING_S, self._name)

    def _name(self) -> None:
        self._naming = None
        hosts = self._host.hosts
        hosts.update(entries(self.pods.items(), self._services.items(), hosts.namespaces))

    async def run(self) -> None:
        """Until cancelled; then every process has ended."""
        watching = [asyncio.create_task(informer.run()) for informer in (self.pods, self._services)]
        try:
            await self.pods.synced.wait()
            await self._services.synced.wait()
            self._name()
            self._resume()
            async with asyncio.TaskGroup() as group:
                for _ in range(self._host.fleet.play.writes_in_flight):
                    group.create_task(self._work())
        finally:
            for informer in watching:
                informer.cancel()
            await self.stop()

    def _resume(self) -> None:
        """Pods that an earlier agent admitted keep place and address before new ones are judged.

        Files of pods that are gone are removed.
        """
        for pod in self.pods.items():
            status, uid = pod.get("status") or {}, pod["metadata"]["uid"]
            if status.get("podIP") and status.get("phase") not in FINISHED and self._node_of(pod["spec"]["nodeName"]):
                self._ledger.charge(pod["spec"]["nodeName"], uid, effective_requests(pod["spec"]))
                if not pod["spec"].get("hostNetwork"):
                    self._addresses.claim(uid, status["podIP"])
        present = {pod["metadata"]["uid"] for pod in self.pods.items()}
        for left in (self._host.state_dir / "pods").glob("*"):
            if left.name not in present:
                shutil.rmtree(left, ignore_errors=True)

    async def stop(self) -> None:
        real = [play.real for play in self._plays.values() if play.real]
        await asyncio.gather(*(pod.stop(SHUTDOWN_GRACE_S) for pod in real))
        for play in self._plays.values():
            if play.ending:
                play.ending.cancel()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._sync(key)
            except (NotFound, Conflict):
                pass  # gone or replaced: the watch tells
            except ApiError as error:
                log.warning("pod %s/%s: %s", *key, error)
                self._queue.add_after(key, max(RETRY_FIRST_S, error.retry_after_s))
            except Exception:
                log.exception("pod %s/%s: not played", *key)
                self._queue.add_after(key, RETRY_MAX_S)
            finally:
                self._queue.done(key)

    async def _sync(self, key: Key) -> None:
        pod = self.pods.get(*key)
        play = self._plays.get(key)
        if play and (pod is None or pod["metadata"]["uid"] != play.uid):
            await self._forget(key, play)
            play = None
        if pod is None:
            return
        node = self._node_of(pod["spec"]["nodeName"])
        if node is None:
            return
        if play is None:
            play = self._plays[key] = _Play(pod["metadata"]["uid"], admitted_at=self._host.clock.monotonic())
        pod = _newer(pod, play)
        if pod["metadata"].get("deletionTimestamp"):
            await self._end(pod, play)
        elif (pod.get("status") or {}).get("phase") in FINISHED:
            self._ledger.release(play.uid)
        elif await self._admitted(pod, node, play):
            await self._advance(key, pod, node, play)

    async def _admitted(self, pod: Json, node: Json, play: _Play) -> bool:
        if play.uid in self._ledger:
            return True
        name = node["metadata"]["name"]
        rejection = admit(pod, node, self._ledger.used(name))
        if rejection is None:
            self._ledger.charge(name, play.uid, effective_requests(pod["spec"]))
            return True
        await self._write(pod, play, rejected_status(pod, rejection, self._now()))
        await self._event(pod, rejection.reason, rejection.message)
        return False

    async def _advance(self, key: Key, pod: Json, node: Json, play: _Play) -> None:
        if play.real:
            play.real.pod = pod
            await self._write_states(pod, play, play.real.states)
            return
        running = (pod.get("status") or {}).get("phase") == "Running"
        fault = "" if running else await self._missing(pod)
        if fault:
            await self._wait_for(key, pod, play, fault)
        elif is_real(self._host.fleet, pod):
            await self._start_real(key, pod, node, play)
        elif running:
            await self._write_states(pod, play, played(pod, _started_at(pod) or self._now()))
        else:
            rest_s = play.admitted_at + self._host.fleet.play.start_latency_s - self._host.clock.monotonic()
            if rest_s > 0:
                self._queue.add_after(key, rest_s)
            else:
                await self._write_states(pod, play, played(pod, self._now()))

    async def _start_real(self, key: Key, pod: Json, node: Json, play: _Play) -> None:
        refused = self._host.processes.mounts_refused
        if refused and pod["spec"].get("volumes"):
            note = f"mounts are refused here ({refused}); known paths are remapped by environment and arguments"
            await self._event(pod, "MountsRefused", note)
        self._host.hosts.path(pod["metadata"]["namespace"])
        self._names_may_differ(None, pod)
        ip = self._address(pod, play)
        play.real = RealPod(self._host, pod, node, ip, lambda: self._queue.add(key))
        play.real.start()

    def _address(self, pod: Json, play: _Play) -> str:
        if pod["spec"].get("hostNetwork"):
            return HOST_IP
        return self._addresses.claim(play.uid, (pod.get("status") or {}).get("podIP", ""))

    async def _missing(self, pod: Json) -> str:
        meta = pod["metadata"]
        for reference in references(pod):
            known = (reference.kind.kind, meta["namespace"], f"{reference.name}/{reference.key}")
            if self._known.get(known, 0.0) > self._host.clock.monotonic():
                continue
            fault = fault_of(reference, await self._read(reference, meta["namespace"]), meta["uid"])
            if fault:
                return fault
            if reference.kind.kind != "ResourceClaim":  # those are reserved pod by pod
                self._known[known] = self._host.clock.monotonic() + KNOWN_S
        return ""

    async def _read(self, reference: Reference, namespace: str) -> Json | None:
        try:
            return await self._host.api.get(reference.kind, namespace, reference.name)
        except NotFound:
            return None

    async def _wait_for(self, key: Key, pod: Json, play: _Play, fault: str) -> None:
        if fault != play.last_fault:
            play.last_fault = fault
            await self._event(pod, "Failed", f"Error: {fault}")
        await self._write_states(pod, play, waiting(pod, "CreateContainerConfigError", fault))
        self._queue.add_after(key, play.retry_s)
        play.retry_s = min(2 * play.retry_s, RETRY_MAX_S)

    async def _write_states(self, pod: Json, play: _Play, states: list[ContainerState]) -> None:
        await self._write(pod, play, pod_status(pod, states, self._address(pod, play), self._now()))

    async def _write(self, pod: Json, play: _Play, status: Json) -> None:
        if not changed(pod, status):
            return
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        play.latest = await self._host.api.patch(POD, meta["namespace"], meta["name"], body, subresource="status")

    async def _end(self, pod: Json, play: _Play) -> None:
        if play.ending is None:
            play.ending = asyncio.create_task(self._finish(pod, play))
        if play.real is None:
            await asyncio.shield(play.ending)

    async def _finish(self, pod: Json, play: _Play) -> None:
        """Ends what runs, then removes the object; tries until the API server agrees.

        The place is free before the object is gone: a scheduler that sees it go may bind another pod there at once.
        """
        meta = pod["metadata"]
        if play.real:
            await play.real.stop(float(meta.get("deletionGracePeriodSeconds") or 0))
        self._ledger.release(play.uid)
        while True:
            try:
                if meta.get("finalizers") and (pod.get("status") or {}).get("phase") not in FINISHED:
                    await self._write(
                        pod, play, rejected_status(pod, Rejection("Terminated", "Pod was deleted"), self._now())
                    )
                await self._host.api.delete(POD, meta["namespace"], meta["name"], uid=meta["uid"], grace_s=0)
                return
            except (NotFound, Conflict):
                return
            except ApiError as error:
                wait_s = max(RETRY_FIRST_S, error.retry_after_s if isinstance(error, Overloaded) else 0.0)
                log.warning("pod %s/%s not deleted: %s", meta["namespace"], meta["name"], error)
                await self._host.clock.sleep(wait_s)

    async def _forget(self, key: Key, play: _Play) -> None:
        """The object is gone: so are its processes, place, address and files, whatever the grace was."""
        del self._plays[key]
        if play.real:
            await play.real.stop(0.0)
            play.real.remove_files()
        self._ledger.release(play.uid)
        self._addresses.release(play.uid)

    async def _event(self, pod: Json, reason: str, message: str) -> None:
        meta, now = pod["metadata"], self._now()
        involved = {"apiVersion": "v1", "kind": "Pod", "uid": meta["uid"]}
        involved |= {"namespace": meta["namespace"], "name": meta["name"]}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name'][:50]}.", "namespace": meta["namespace"]},
            "involvedObject": involved,
            "reason": reason,
            "message": message[:1024],
            "type": "Warning",
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "node-agent", "host": pod["spec"]["nodeName"]},
        }
        with contextlib.suppress(NotFound, AlreadyExists):
            await self._host.api.create(EVENT, meta["namespace"], event)

    def _now(self) -> str:
        return timestamp(self._host.clock.now())

    # --- for the kubelet's endpoint ---------------------------------------------------------------------------------

    def address_of(self, namespace: str, name: str) -> str:
        """The pod's address, "" when no pod of that name is played here."""
        pod = self.pods.get(namespace, name) if (namespace, name) in self._plays else None
        return str(((pod or {}).get("status") or {}).get("podIP") or "")

    def running(self) -> Iterator[tuple[Json, dict[str, int]]]:
        """Pods that run here, each with the processes of its real containers."""
        for key, play in list(self._plays.items()):
            pod = self.pods.get(*key)
            is_running = pod is not None and (pod.get("status") or {}).get("phase") == "Running"
            if pod is not None and is_running and pod["metadata"]["uid"] == play.uid:
                yield pod, play.real.pids() if play.real else {}

    def logs_of(
        self, namespace: str, name: str, container: str, previous: bool
    ) -> tuple[Path | None, Callable[[], bool]]:
        """The log file (None: the container is pretended) and whether its process may still write to it.

        KeyError when there is no such pod or container here.
        """
        play = self._plays[namespace, name]
        pod = self.pods.get(namespace, name) or {"spec": {}}
        spec = pod["spec"]
        if container not in {c["name"] for c in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]}:
            raise KeyError(container)
        if play.real is None:
            return None, lambda: False
        state = next(s for s in play.real.states if s.name == container)
        number = state.restarts
        if previous:
            if number == 0:
                raise KeyError(f"previous terminated container {container}")
            number -= 1
        path = play.real.log(container, number)
        return path, lambda: state.restarts == number and "running" in state.state


def _started_at(pod: Json) -> str:
    """When the first pretended container started, so that a status computed anew equals the one there is."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        started = status.get("state", {}).get("running", {}).get("startedAt")
        if started:
            return str(started)
    return ""


def _newer(pod: Json, play: _Play) -> Json:
    """The watch's pod, or what our last write returned if the watch lags behind it."""
    if play.latest and int(play.latest["metadata"]["resourceVersion"]) > int(pod["metadata"]["resourceVersion"]):
        return play.latest
    play.latest = None
    return pod


def _without_managed_fields(pod: Json) -> Json:
    pod["metadata"].pop("managedFields", None)
    return pod
