"""A bare API server with Grove's CRDs for tests of the scheduler alone: nodes, pods and gangs made by hand."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import BY_KIND, NAMESPACE, NODE, POD, POD_GANG, Json, Kind
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.clock import RealClock
from grove_operator.localcluster.controlplane import choose_ports, kube_scheduler, kube_scheduler_config
from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from grove_operator.localcluster.pki import ensure_pki
from grove_operator.localcluster.supervisor_children import Children
from grove_operator.localcluster.tools import locate
from tests.support.ports import free_ports

IN_FLIGHT = 16
SCOPED = ("Node", "ClusterTopologyBinding", "PersistentVolume")
PATIENCE_S = 60.0


@dataclass
class Plane:
    plane: BareControlPlane
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[HttpKubeApi]:
        async with HttpKubeApi.from_kubeconfig(self.plane.kubeconfig) as api:
            yield api
            await asyncio.sleep(0.05)  # watches that were cancelled close their sockets

    def start_scheduler(self, *, lease: bool = False, binds_in_flight: int = 64) -> subprocess.Popen[bytes]:
        """The scheduler as the process that users get, with the administrator's rights."""
        number = len(self.processes)
        ports = free_ports(2)
        config = self.plane.root / f"scheduler-{number}.yaml"
        timing = {"leaseDuration": "3s", "renewDeadline": "2s", "retryPeriod": "500ms"} if lease else {}
        said = {
            "apiVersion": "operator.config.grove.io/v1alpha1",
            "kind": "OperatorConfiguration",
            "logFormat": "text",
            "leaderElection": {"enabled": lease, "resourceNamespace": "default", **timing},
            "gangScheduler": {
                "bindAddress": "127.0.0.1",
                "healthPort": ports[0],
                "metricsPort": ports[1],
                "bindsInFlight": binds_in_flight,
            },
        }
        config.write_text(json.dumps(said))
        argv = [sys.executable, "-m", "grove_operator.kube.scheduler_main", "--config", str(config)]
        argv += ["--kubeconfig", str(self.plane.kubeconfig)]
        environment = os.environ | {"POD_NAME": f"scheduler-{number}", "POD_NAMESPACE": "default"}
        with (self.plane.root / f"scheduler-{number}.log").open("wb") as log:
            process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def said(self) -> str:
        return "\n".join(p.read_text()[-2000:] for p in sorted(self.plane.root.glob("scheduler-*.log")))


@contextmanager
def placing_plane(root: Path, *, with_kube_scheduler: bool = False) -> Iterator[Plane]:
    """Ready on entry; the processes that a test started end with it."""
    with bare_control_plane(root) as plane:
        asyncio.run(_install(plane))
        made = Plane(plane)
        children = Children(root, root / "logs")
        try:
            if with_kube_scheduler:
                _start_kube_scheduler(root, children)
            yield made
        finally:
            children.stop()
            for process in made.processes:
                process.kill()
                process.wait()


def _start_kube_scheduler(root: Path, children: Children) -> None:
    pki, ports = ensure_pki(root / "pki"), choose_ports()
    config = root / "kube-scheduler.json"
    said = dict(kube_scheduler_config(pki))
    server = (root / "kubeconfig").read_text()
    (root / "kube-scheduler.kubeconfig").write_text(server)
    said["clientConnection"] = {"kubeconfig": str(root / "kube-scheduler.kubeconfig"), "qps": 1000, "burst": 2000}
    config.write_text(json.dumps(said))
    component = kube_scheduler(locate("kube-scheduler"), ports, pki, config)
    argv = tuple(
        f"--{flag}={root / 'kube-scheduler.kubeconfig'}"
        if (flag := part.removeprefix("--").partition("=")[0]).endswith("kubeconfig")
        else part
        for part in component.argv
    )
    children.wait_until_well(children.start(type(component)(component.name, argv, component.probe)))


async def _install(plane: BareControlPlane) -> None:
    async with HttpKubeApi.from_kubeconfig(plane.kubeconfig) as api:
        for crd in all_crds():
            await api.create(BY_KIND["CustomResourceDefinition"], None, crd)
        await api.create(NAMESPACE, None, {"metadata": {"name": "ns"}})

        async def served() -> bool:
            try:
                await api.list(POD_GANG)
                await api.list(BY_KIND["ClusterTopologyBinding"])
            except ApiError:
                return False
            return True

        await until(served, "the CRDs are served")


async def until(
    claim: Callable[[], Awaitable[Any]], what: str | Callable[[], str], patience_s: float = PATIENCE_S
) -> Any:
    """The first true answer of `claim`; AssertionError that says `what` when there was none for so long."""
    try:
        async with asyncio.timeout(patience_s):
            while not (answer := await claim()):
                await asyncio.sleep(0.05)
            return answer
    except TimeoutError:
        raise AssertionError(f"not within {patience_s:g} s: {what if isinstance(what, str) else what()}") from None


async def each(work: Iterable[Awaitable[Any]]) -> None:
    """All of it, not too much at once."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(awaitable: Awaitable[Any]) -> None:
        async with gate:
            await awaitable

    await asyncio.gather(*(one(awaitable) for awaitable in work))


async def put(api: HttpKubeApi, objects: Sequence[Json]) -> None:
    """Create objects with their status; nodes first, gangs last."""
    order = {"Node": 0, "ClusterTopologyBinding": 0, "PersistentVolume": 0, "PersistentVolumeClaim": 1, "PodGang": 3}
    for stage in range(4):
        await each(_put(api, obj) for obj in objects if order.get(obj["kind"], 2) == stage)


async def _put(api: HttpKubeApi, obj: Json) -> None:
    kind = BY_KIND[obj["kind"]]
    meta = {k: v for k, v in obj["metadata"].items() if k != "creationTimestamp"}
    namespace = None if obj["kind"] in SCOPED else meta["namespace"]
    await api.create(kind, namespace, {**obj, "metadata": meta})
    if kind is NODE:  # admission taints every new node until its kubelet reports
        await api.patch(NODE, None, meta["name"], {"spec": {"taints": (obj.get("spec") or {}).get("taints")}})
    if "status" in obj and obj["status"] != {"phase": "Pending"}:
        await api.patch(kind, namespace, meta["name"], {"status": obj["status"]}, subresource="status")


async def wipe(api: HttpKubeApi, kinds: Sequence[Kind]) -> None:
    """Delete all objects of these kinds, pods at once."""

    async def gone(kind: Kind, obj: Json) -> None:
        meta = obj["metadata"]
        try:
            await api.delete(kind, meta.get("namespace"), meta["name"], grace_s=0)
        except NotFound:
            return

    for kind in kinds:
        await each(gone(kind, obj) for obj in (await api.list(kind)).items)


@asynccontextmanager
async def scheduling(api: HttpKubeApi, **options: Any) -> AsyncIterator[GangScheduler]:
    """The scheduler's loop in this process."""
    scheduler = GangScheduler(api, RealClock(), **options)
    task = asyncio.create_task(scheduler.run())
    try:
        await scheduler.synced.wait()
        yield scheduler
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def gpu_node(name: str, gpus: int = 8, labels: dict[str, str] | None = None) -> Json:
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def gpu_pod(name: str, gang: str | None, gpus: int = 1, *, scheduler: str = "grove-scheduler") -> Json:
    limits = {"nvidia.com/gpu": str(gpus), "cpu": "100m"}
    container = {"name": "c", "image": "registry.example/pause:1", "resources": {"limits": limits, "requests": limits}}
    labels = {"grove.io/podgang": gang} if gang else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": labels},
        "spec": {"schedulerName": scheduler, "containers": [container], "terminationGracePeriodSeconds": 0},
    }


def gang_of(name: str, pods: Sequence[str], minimum: int | None = None, required: str = "") -> Json:
    constraint = {"topologyConstraint": {"packConstraint": {"required": required}}} if required else {}
    group = {
        "name": f"{name}-w",
        "minReplicas": len(pods) if minimum is None else minimum,
        "podReferences": [{"namespace": "ns", "name": p} for p in pods],
    }
    initialized = {"type": "Initialized", "status": "True", "reason": "PodGangPodsCreated", "message": ""}
    initialized["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": POD_GANG.api_version,
        "kind": "PodGang",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"podgroups": [group], **constraint},
        "status": {"phase": "Pending", "conditions": [initialized]},
    }


EVERYTHING = (POD_GANG, POD, BY_KIND["ClusterTopologyBinding"], NODE)
