"""A pod of which at least one container really runs.

    volumes ──> init containers, one after the other (a sidecar once it has started) ──> all containers at once

Its containers of other images are pretended. Every change of a state calls `report`; who listens writes the status.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grove_operator.api.kinds import Json
from grove_operator.engine.ports import ApiError, Clock, KubeApi, timestamp
from grove_operator.localcluster.agent.container import Container
from grove_operator.localcluster.agent.environment import (
    ConfigError,
    argv_of,
    base_environment,
    command_line,
    container_environment,
    expand,
    substitute,
)
from grove_operator.localcluster.agent.hosts import HostsFiles
from grove_operator.localcluster.agent.processes import Launch, Mount, Processes, remap
from grove_operator.localcluster.agent.status import (
    ContainerState,
    containers_of,
    play_completed,
    play_running,
)
from grove_operator.localcluster.agent.volumes import PodObjects, Volumes, needs_refresh
from grove_operator.localcluster.dynamo_runtime import SWITCH
from grove_operator.localcluster.fleet import Fleet, Image

log = logging.getLogger(__name__)
REFRESH_S = 60.0
RETRY_S = 2.0
NAMED_BY = {
    "/var/run/secrets/kubernetes.io/serviceaccount": "GROVE_SERVICEACCOUNT_DIR",
    "/var/grove/pod-info": "GROVE_POD_INFO_DIR",
}
"""Where mounts are refused, our own programs learn from these variables where the folder is."""


@dataclass(frozen=True, slots=True)
class Host:
    """What every real pod needs of the agent."""

    api: KubeApi
    clock: Clock
    fleet: Fleet
    processes: Processes
    state_dir: Path
    ca: bytes
    api_environment: dict[str, str]
    """KUBERNETES_SERVICE_HOST and _PORT of the real API server."""
    hosts: HostsFiles


def image_of(fleet: Fleet, pod: Json, container: Json) -> Image | None:
    labels = pod["metadata"].get("labels") or {}
    return fleet.image_for(container.get("image", ""), argv_of(container), labels, _is_there)


def _is_there(path: str) -> bool:
    is_pretended = "${DYNAMO}" in path and os.environ.get(SWITCH) == "off"
    return not is_pretended and os.path.exists(substitute(path, ""))


def is_real(fleet: Fleet, pod: Json) -> bool:
    spec = pod["spec"]
    return any(image_of(fleet, pod, c) for c in [*(spec.get("initContainers") or []), *spec["containers"]])


class RealPod:
    def __init__(self, host: Host, pod: Json, node: Json, ip: str, report: Callable[[], None]) -> None:
        self.pod, self.ip = pod, ip
        self.states = containers_of(pod)
        self.message = ""
        meta = pod["metadata"]
        self.label = f"{meta['namespace']}/{meta['name']}"
        self.directory = host.state_dir / "pods" / meta["uid"]
        self._host, self._node, self._report = host, node, report
        self._objects = PodObjects(host.api, meta["namespace"], host.ca)
        claims = host.state_dir / "claims"
        self._volumes = Volumes(host.api, pod, node, ip, self.directory / "volumes", claims, self._objects)
        self._containers: list[Container] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._resume_restart_counts()

    def _resume_restart_counts(self) -> None:
        """A pod that an earlier agent ran goes on counting, so that its old logs are kept as previous ones."""
        status = self.pod.get("status") or {}
        before = {s["name"]: s for k in ("initContainerStatuses", "containerStatuses") for s in status.get(k) or []}
        for state in self.states:
            if before.get(state.name, {}).get("containerID"):
                state.restarts = before[state.name]["restartCount"] + 1

    def start(self) -> None:
        self._tasks.append(asyncio.create_task(self._run(), name=f"pod {self.label}"))

    async def _run(self) -> None:
        await self._prepare_volumes()
        self._tasks.append(asyncio.create_task(self._refresh()))
        specs = {
            c["name"]: c for c in [*(self.pod["spec"].get("initContainers") or []), *self.pod["spec"]["containers"]]
        }
        for state in [s for s in self.states if s.init]:
            if not await self._initialise(specs[state.name], state):
                return
        await asyncio.gather(*(self._play(specs[s.name], s) for s in self.states if not s.init))

    async def _prepare_volumes(self) -> None:
        while True:
            try:
                self._objects.forget()
                await self._volumes.materialise()
                await self._objects.load_environment(self.pod)
                return
            except (ConfigError, ApiError) as error:
                for state in self.states:
                    state.state = {"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}}
                self._report()
            await self._host.clock.sleep(RETRY_S)

    async def _refresh(self) -> None:
        """Renews tokens and follows changed maps, as a kubelet does within about a minute."""
        while needs_refresh(self.pod):
            await self._host.clock.sleep(REFRESH_S)
            try:
                self._objects.forget()
                await self._volumes.materialise()
            except (ConfigError, ApiError) as error:
                log.warning("%s: volumes not refreshed: %s", self.label, error)

    async def _initialise(self, spec: Json, state: ContainerState) -> bool:
        """False when the init container failed for good."""
        if not state.sidecar:
            await self._play(spec, state)
            return state.done
        sidecar = asyncio.create_task(self._play(spec, state))
        self._tasks.append(sidecar)
        while not state.started:
            await self._host.clock.sleep(0.05)
        return True

    async def _play(self, spec: Json, state: ContainerState) -> None:
        image = image_of(self._host.fleet, self.pod, spec)
        if image is None:
            now = timestamp(self._host.clock.now())
            (play_completed if state.init and not state.sidecar else play_running)(state, now)
            self._report()
            return
        host = self._host

        async def prepare(restart: int) -> Launch:
            return await self._launch(spec, image, restart)

        policy = self.pod["spec"].get("restartPolicy", "Always")
        container = Container(
            spec, state, policy, self.ip, prepare, host.processes, host.clock, host.fleet.play, self._report, self.label
        )
        self._containers.append(container)
        await container.run()

    async def _launch(self, spec: Json, image: Image, restart: int) -> Launch:
        await self._objects.load_environment(self.pod)
        mounts = self._mounts(spec)
        host = self._host
        declared = container_environment(self.pod, spec, self._node, self.ip, self._objects.text)
        env = base_environment(image, self.ip, os.environ) | host.api_environment
        env |= {"HOSTNAME": self.pod["spec"].get("hostname") or self.pod["metadata"]["name"]} | declared
        argv = command_line(spec, image, env, self.ip)
        if host.processes.mounts_refused:
            argv = [remap(word, mounts) for word in argv]
            env |= {NAMED_BY[mount.target]: mount.source for mount in mounts if mount.target in NAMED_BY}
        return Launch(
            argv,
            env,
            spec.get("workingDir") or "",
            mounts,
            self.directory / spec["name"],
            self.log(spec["name"], restart),
        )

    def _mounts(self, spec: Json) -> list[Mount]:
        mounts = [Mount(str(self._host.hosts.path(self.pod["metadata"]["namespace"])), "/etc/hosts")]
        for mount in spec.get("volumeMounts") or []:
            source = self._volumes.paths[mount["name"]]
            inner = mount.get("subPath") or expand(mount.get("subPathExpr") or "", {})
            if inner:
                source = source / inner
                if not source.exists():
                    source.mkdir(parents=True)
            mounts.append(Mount(str(source), mount["mountPath"].rstrip("/") or "/", bool(mount.get("readOnly"))))
        return sorted(mounts, key=lambda m: m.target.count("/"))

    def pids(self) -> dict[str, int]:
        """The process of each container that has one now."""
        return {c.spec["name"]: pid for c in self._containers if (pid := c.pid) is not None}

    def log(self, container: str, restart: int) -> Path:
        path: Path = self.directory / "logs" / container / f"{restart}.log"
        return path

    async def stop(self, grace_s: float) -> None:
        """Ends all processes: main containers first, then sidecars; returns when they are gone."""
        for sidecars in (False, True):
            chosen = [c for c in self._containers if c.state.sidecar is sidecars]
            await asyncio.gather(*(c.stop(grace_s) for c in chosen))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def remove_files(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
