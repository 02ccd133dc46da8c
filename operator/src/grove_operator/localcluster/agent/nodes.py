"""Registers the fleet's nodes, keeps their leases fresh, and creates the load that others already put on them.

Writes per node: one create (with its status), one that drops the not-ready taint the API server adds, one Lease; then a
Lease renewal per heartbeat, spread evenly over it. A node that someone deletes stays deleted until the agent restarts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TypeVar

from grove_operator.api.kinds import LEASE, NAMESPACE, NODE, POD, SERVICE_ACCOUNT, Json
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import AlreadyExists, ApiError, Clock, KubeApi, NotFound, timestamp
from grove_operator.localcluster.agent.status import HOST_IP
from grove_operator.localcluster.fleet import Fleet, FleetNode

log = logging.getLogger(__name__)
LEASE_NAMESPACE = "kube-node-lease"
LOAD_NAMESPACE = "fleet-load"
PLAYED_BY = "fleet.grove-py/played-by"
POOL = "fleet.grove-py/pool"
FILLER = "fleet.grove-py/filler"
KUBELET_VERSION = "v1.36.3"
LEASE_S = 40
RETRY_S = 1.0
RETRIES = 60
T = TypeVar("T")


def node_object(node: FleetNode, kubelet_port: int, now: str) -> Json:
    """The Node as the agent registers it: Ready, all of its capacity allocatable."""
    annotations = {PLAYED_BY: node.played_by}
    if node.played_by == "kwok":
        annotations["kwok.x-k8s.io/node"] = "fake"
    manifest: Json = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": {**node.labels, POOL: node.pool}, "annotations": annotations},
        "spec": {"taints": node.taints} if node.taints else {},
    }
    if node.played_by == "agent":
        manifest["status"] = node_status(node, kubelet_port, now)
    else:
        manifest["status"] = {"capacity": node.capacity, "allocatable": node.capacity}
    return manifest


def node_status(node: FleetNode, kubelet_port: int, now: str) -> Json:
    return {
        "capacity": node.capacity,
        "allocatable": node.capacity,
        "conditions": node_conditions(now),
        "addresses": [{"type": "InternalIP", "address": HOST_IP}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": node.name,
            "containerRuntimeVersion": "grove://0.1.0",
            "kernelVersion": "none",
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": node.name,
            "operatingSystem": "linux",
            "osImage": "Grove node agent",
            "systemUUID": node.name,
        },
    }


def node_conditions(now: str) -> list[Json]:
    def condition(kind: str, status: str, reason: str, message: str) -> Json:
        times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
        return {"type": kind, "status": status, "reason": reason, "message": message, **times}

    return [
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "memory is pretended"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "the disk is pretended"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "process ids are pretended"),
        condition("Ready", "True", "KubeletReady", "the node agent plays this node"),
    ]


def lease_object(name: str, node_uid: str, now: datetime) -> Json:
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node_uid}
    spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, "renewTime": micro_time(now)}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": spec,
    }


def micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def filler_pod(node: FleetNode, number: int, requests: dict[str, str]) -> Json:
    """A pod of someone else, already bound: extended resources need limits equal to requests."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"load-{node.name}-{number}", "labels": {FILLER: "true"}},
        "spec": {
            "nodeName": node.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {"name": "load", "image": "load", "resources": {"requests": requests, "limits": requests}},
            ],
        },
    }


class Nodes:
    """All nodes of a fleet. `get` answers with the live object of a node that the agent plays."""

    def __init__(self, api: KubeApi, clock: Clock, fleet: Fleet, kubelet_port: int) -> None:
        self._api, self._clock, self._fleet, self._port = api, clock, fleet, kubelet_port
        self._ours = {node.name: node for node in fleet.nodes()}
        self._renewing: dict[str, bool] = {}
        self._revived: set[asyncio.Task[None]] = set()
        self._limit = asyncio.Semaphore(fleet.play.writes_in_flight)
        self.live = Informer(api, clock, NODE, self._on_change, trim=_lean)

    def get(self, name: str) -> Json | None:
        node = self._ours.get(name)
        return self.live.get("", name) if node and node.played_by == "agent" else None

    async def register(self) -> None:
        """Makes the cluster's nodes those of the fleet: creates, corrects, and removes what an older fleet left."""
        existing = {
            node["metadata"]["name"]: node for node in (await self._patiently(lambda: self._api.list(NODE))).items
        }
        stale = [n for n, node in existing.items() if _played_by(node) and n not in self._ours]
        await self._each(stale, self._remove)
        await self._each(self._ours.values(), lambda node: self._register(node, existing.get(node.name)))
        log.info("%d nodes registered, %d of an older fleet removed", len(self._ours), len(stale))

    async def _each(self, items: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
        async def one(item: T) -> None:
            async with self._limit:
                await act(item)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))

    async def _register(self, node: FleetNode, existing: Json | None) -> None:
        now = timestamp(self._clock.now())
        wanted = node_object(node, self._port, now)
        if existing is None:
            existing = await self._patiently(lambda: self._api.create(NODE, None, wanted))
            if node.played_by == "agent" and (existing["spec"].get("taints") or []) != node.taints:
                body = {"spec": {"taints": node.taints or None}}
                await self._patiently(lambda: self._api.patch(NODE, None, node.name, body))
        else:
            await self._correct(node, existing, wanted)
        if node.played_by == "agent":
            await self._lease(node.name, existing["metadata"]["uid"])

    async def _correct(self, node: FleetNode, existing: Json, wanted: Json) -> None:
        meta = existing["metadata"]
        labels = {k: v for k, v in wanted["metadata"]["labels"].items() if (meta.get("labels") or {}).get(k) != v}
        annotations = wanted["metadata"]["annotations"]
        if labels or any((meta.get("annotations") or {}).get(k) != v for k, v in annotations.items()):
            await self._api.patch(NODE, None, node.name, {"metadata": {"labels": labels, "annotations": annotations}})
        if node.played_by != "agent":
            return
        status = existing.get("status") or {}
        same = all(status.get(key) == wanted["status"][key] for key in ("capacity", "allocatable", "daemonEndpoints"))
        if not same or not _is_ready(existing):
            await self._api.patch(NODE, None, node.name, {"status": wanted["status"]}, subresource="status")

    async def _lease(self, name: str, uid: str) -> None:
        lease = lease_object(name, uid, self._clock.now())
        try:
            await self._patiently(lambda: self._api.create(LEASE, LEASE_NAMESPACE, lease))
        except AlreadyExists:
            spec = {"metadata": {"ownerReferences": lease["metadata"]["ownerReferences"]}, "spec": lease["spec"]}
            await self._api.patch(LEASE, LEASE_NAMESPACE, name, spec)

    async def _remove(self, name: str) -> None:
        try:
            await self._api.delete(NODE, None, name)
        except NotFound:
            return

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """A young API server lacks system namespaces for a moment and may be busy: wait, at most a minute."""
        for _ in range(RETRIES):
            try:
                return await act()
            except AlreadyExists:
                raise
            except ApiError as error:
                if error.status in (400, 401, 422):
                    raise
                last = error
                await self._clock.sleep(max(RETRY_S, error.retry_after_s))
        raise last

    async def heartbeat(self) -> None:
        """Renews every lease once per heartbeat until cancelled; a deleted node is left alone."""
        while True:
            names = [n for n in self._ours if self.get(n)]
            began = self._clock.monotonic()
            for number, name in enumerate(names):
                due = began + self._fleet.play.heartbeat_s * number / len(names)
                wait_s = due - self._clock.monotonic()
                if wait_s > 0:
                    await self._clock.sleep(wait_s)
                await self._limit.acquire()
                task = asyncio.create_task(self._renew(name))
                self._revived.add(task)
                task.add_done_callback(self._revived.discard)
            await self._clock.sleep(max(0.1, began + self._fleet.play.heartbeat_s - self._clock.monotonic()))

    async def _renew(self, name: str) -> None:
        try:
            await self._renew_now(name)
        except ApiError as error:
            log.warning("lease of node %s not renewed: %s", name, error)
        finally:
            self._limit.release()

    def _on_change(self, old: Json | None, new: Json | None) -> None:
        """A node that was declared dead while we slept is declared alive again."""
        if (
            new
            and self.get(new["metadata"]["name"])
            and not _is_ready(new)
            and (new.get("status") or {}).get("conditions")
        ):
            task = asyncio.create_task(self._revive(new["metadata"]["name"]))
            self._revived.add(task)
            task.add_done_callback(self._revived.discard)

    async def _revive(self, name: str) -> None:
        body = {"status": {"conditions": node_conditions(timestamp(self._clock.now()))}}
        try:
            await self._renew_now(name)
            await self._api.patch(NODE, None, name, body, subresource="status")
        except ApiError as error:
            log.warning("node %s not declared ready: %s", name, error)

    async def _renew_now(self, name: str) -> None:
        body = {"spec": {"renewTime": micro_time(self._clock.now())}}
        try:
            await self._api.patch(LEASE, LEASE_NAMESPACE, name, body)
        except NotFound:
            node = self.get(name)
            if node:
                await self._api.create(
                    LEASE, LEASE_NAMESPACE, lease_object(name, node["metadata"]["uid"], self._clock.now())
                )

    async def create_load(self) -> None:
        """Creates the filler pods that are missing and removes those that the fleet no longer has."""
        wanted = {
            f"load-{node.name}-{number}": (node, number, requests)
            for node in self._ours.values()
            for number, requests in enumerate(node.load)
        }
        selector = f"{FILLER}=true"
        have = {p["metadata"]["name"] for p in (await self._api.list(POD, label_selector=selector)).items}
        if wanted and not wanted.keys() <= have:
            await self._prepare_namespace()
        await self._each(have - wanted.keys(), self._remove_load)
        await self._each([wanted[name] for name in wanted.keys() - have], lambda load: self._fill(*load))

    async def _prepare_namespace(self) -> None:
        """Also the account that admission wants, since the controller that makes it may start after us."""
        for kind, namespace, name in ((NAMESPACE, None, LOAD_NAMESPACE), (SERVICE_ACCOUNT, LOAD_NAMESPACE, "default")):
            body = {"apiVersion": "v1", "kind": kind.kind, "metadata": {"name": name}}
            try:
                await self._api.create(kind, namespace, body)
            except AlreadyExists:
                continue

    async def _fill(self, node: FleetNode, number: int, requests: dict[str, str]) -> None:
        try:
            await self._patiently(lambda: self._api.create(POD, LOAD_NAMESPACE, filler_pod(node, number, requests)))
        except AlreadyExists:
            return

    async def _remove_load(self, name: str) -> None:
        try:
            await self._api.delete(POD, LOAD_NAMESPACE, name, grace_s=0)
        except NotFound:
            return


def _played_by(node: Json) -> str:
    return str((node["metadata"].get("annotations") or {}).get(PLAYED_BY, ""))


def _is_ready(node: Json) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _lean(node: Json) -> Json:
    node["metadata"].pop("managedFields", None)
    return node
