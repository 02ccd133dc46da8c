"""One real container: its process through starts, probes, crashes, back-offs and its end.

waiting ──start──> running ──exit──> terminated ──restart policy──> waiting (CrashLoopBackOff) ──> running ...
                      │ startup probe, then readiness and liveness
                      └ stop(): preStop, SIGTERM to the group, SIGKILL when the grace is over
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from grove_operator.api.kinds import Json
from grove_operator.engine.ports import ApiError, Clock, timestamp
from grove_operator.localcluster.agent.environment import ConfigError
from grove_operator.localcluster.agent.probes import Prober, ask
from grove_operator.localcluster.agent.processes import Launch, Processes, signal_group
from grove_operator.localcluster.agent.status import ContainerState
from grove_operator.localcluster.fleet import Play

log = logging.getLogger(__name__)
NOT_STARTED_RETRY_S = 2.0
LAST_WORDS_BYTES, LAST_WORDS_LINES = 2048, 80
LEAST_GRACE_S = 2.0
"""What a process gets between SIGTERM and SIGKILL although its preStop used up the grace, as from a kubelet."""
STEADY_S = 600.0
"""A container that ran this long starts its back-off anew."""

Prepare = Callable[[int], Awaitable[Launch]]
"""restart count -> what to start."""


class Container:
    def __init__(
        self,
        spec: Json,
        state: ContainerState,
        restart_policy: str,
        ip: str,
        prepare: Prepare,
        processes: Processes,
        clock: Clock,
        play: Play,
        report: Callable[[], None],
        label: str,
    ) -> None:
        self.spec, self.state, self.label = spec, state, label
        self.started = asyncio.Event()
        self._policy = "Always" if state.sidecar else "OnFailure" if state.init else restart_policy
        if state.init and not state.sidecar and restart_policy == "Never":
            self._policy = "Never"
        self._ip, self._prepare, self._processes, self._clock = ip, prepare, processes, clock
        self._play, self._report = play, report
        self._process: asyncio.subprocess.Process | None = None
        self._launch: Launch | None = None
        self._stopping = False

    async def run(self) -> None:
        """Until the container needs no restart any more, or was stopped."""
        backoff_s, life = 0.0, self.state.restarts
        while not self._stopping:
            began = self._clock.monotonic()
            code = await self._once(life)
            if code is None:
                await self._clock.sleep(NOT_STARTED_RETRY_S)
                continue
            if self._stopping or not self._restarts_after(code):
                return
            backoff_s = 0.0 if self._clock.monotonic() - began > STEADY_S else backoff_s
            if backoff_s:
                await self._wait_for_restart(backoff_s)
            backoff_s = min(max(2 * backoff_s, self._play.restart_backoff_s), self._play.restart_backoff_max_s)
            life += 1

    def _restarts_after(self, code: int) -> bool:
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)

    async def _wait_for_restart(self, seconds: float) -> None:
        message = f"back-off {seconds:g}s restarting failed container={self.spec['name']} pod={self.label}"
        self.state.last = self.state.state
        self.state.state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        self._report()
        await self._clock.sleep(seconds)

    async def _once(self, life: int) -> int | None:
        """One life of the process: its exit code (128 + signal when it was killed), None if it could not start.

        The restart is counted when the new process is there, together with the old one's end as last state: whoever
        reads a raised count finds the reason beside it.
        """
        try:
            launch = await self._prepare(life)
            process = await self._processes.start(launch, f"{self.label}/{self.spec['name']}")
        except (ConfigError, ApiError) as error:
            self._not_started("CreateContainerConfigError", str(error))
            return None
        except OSError as error:
            self._not_started("RunContainerError", str(error))
            return None
        self._process, self._launch = process, launch
        began = timestamp(self._clock.now())
        if "terminated" in self.state.state:
            self.state.last = self.state.state
        self.state.restarts = life
        self.state.state = {"running": {"startedAt": began}}
        probes = [asyncio.create_task(self._watch(launch))]
        self._report()
        try:
            code = await process.wait()
        finally:
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)
            if process.returncode is not None:
                self._processes.forget(process.pid)
        self._process = None
        code = 128 - code if code < 0 else code
        self._ended(code, began, launch)
        return code

    def _not_started(self, reason: str, message: str) -> None:
        log.warning("%s/%s: %s: %s", self.label, self.spec["name"], reason, message)
        if "terminated" in self.state.state:
            self.state.last = self.state.state
        self.state.state = {"waiting": {"reason": reason, "message": message}}
        self._report()

    def _ended(self, code: int, began: str, launch: Launch) -> None:
        ended: Json = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": began}
        ended["finishedAt"] = timestamp(self._clock.now())
        if code > 128:
            ended["signal"] = code - 128
        if code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            ended |= _last_words(launch.log)
        self.state.state = {"terminated": ended}
        self.state.ready = self.state.init and not self.state.sidecar and code == 0
        self.state.started = False
        self.started.clear()
        self._report()

    async def _watch(self, launch: Launch) -> None:
        """Startup probe first; then readiness and liveness side by side."""
        startup, readiness, liveness = (self.spec.get(f"{n}Probe") for n in ("startup", "readiness", "liveness"))
        run = self._exec(launch)

        def prober(probe: Json, verdict: Callable[[bool, str], None]) -> Prober:
            return Prober(probe, self.spec, self._ip, self._clock, run, verdict)

        if startup:
            await prober(startup, self._alive("startup")).loop(until_first_success=True)
        self.state.started = True
        self.state.ready = not readiness and not (self.state.init and not self.state.sidecar)
        self.started.set()
        self._report()
        loops = []
        if readiness:
            loops.append(prober(readiness, self._on_readiness).loop())
        if liveness:
            loops.append(prober(liveness, self._alive("liveness")).loop())
        await asyncio.gather(*loops)

    def _on_readiness(self, passed: bool, why: str) -> None:
        if not passed:
            log.info("%s/%s: readiness probe failed: %s", self.label, self.spec["name"], why)
        self.state.ready = passed
        self._report()

    def _alive(self, probe: str) -> Callable[[bool, str], None]:
        def verdict(passed: bool, why: str) -> None:
            if not passed and self._process:
                log.warning("%s/%s: %s probe failed, restarting it: %s", self.label, self.spec["name"], probe, why)
                self._killing = asyncio.create_task(self._end_process(30.0))

        return verdict

    def _exec(self, launch: Launch) -> Callable[[list[str]], Awaitable[int]]:
        async def run(command: list[str]) -> int:
            beside = launch.directory / "exec"
            order = Launch(command, launch.env, launch.cwd, launch.mounts, beside, beside / "log")
            process = await self._processes.start(order, f"{self.label}/{self.spec['name']} exec")
            try:
                return await process.wait()
            finally:
                signal_group(process.pid, signal.SIGKILL)
                await process.wait()
                self._processes.forget(process.pid)

        return run

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def stop(self, grace_s: float) -> None:
        """Ends the process and every later restart."""
        self._stopping = True
        await self._end_process(grace_s)

    async def _end_process(self, grace_s: float) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        began = self._clock.monotonic()
        await self._before_the_end(process, grace_s)
        left_s = max(grace_s - (self._clock.monotonic() - began), min(grace_s, LEAST_GRACE_S))
        signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), left_s)
            return
        signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    async def _before_the_end(self, process: asyncio.subprocess.Process, grace_s: float) -> None:
        """The preStop hook, while the process still serves; at most as long as the grace, or the process, lasts."""
        hook = (self.spec.get("lifecycle") or {}).get("preStop") or {}
        if not hook or self._launch is None:
            return
        waits = (
            self._clock.sleep(hook["sleep"].get("seconds") or 0) if "sleep" in hook else self._ask(hook, self._launch)
        )
        tasks = [asyncio.ensure_future(waits), asyncio.ensure_future(process.wait())]
        await asyncio.wait(tasks, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, hook: Json, launch: Launch) -> None:
        if why := await ask(hook, self.spec, self._ip, self._exec(launch)):
            log.warning("%s/%s: preStop failed: %s", self.label, self.spec["name"], why)


def _last_words(path: Path) -> Json:
    """The end of the log, as much of it as a kubelet takes; nothing where nothing was said."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return {}
    text = "\n".join(lines[-LAST_WORDS_LINES:])
    return {"message": text} if text else {}
