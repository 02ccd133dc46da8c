"""Starts, watches and stops child processes so that none can outlive the one who started it.

Three nets, each for what slips through the one before: a stop in reverse order with SIGTERM, a grace time and SIGKILL;
the kernel's parent-death signal, should the supervisor itself be killed; and a mark in the environment, by which a
later `grove up` or `grove down` finds and ends whatever an unclean death left over.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from grove_operator.localcluster.controlplane import LOOPBACK, Component, Probe
from grove_operator.localcluster.state import ComponentState, LocalClusterError, ProcessId

MARK = "GROVE_CLUSTER_ROOT"
"""Environment variable that every process of a cluster carries: the cluster's folder."""
READY_TIMEOUT_S = 120.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TAIL_LINES = 12


@dataclass
class Child:
    component: Component
    process: subprocess.Popen[bytes]
    id: ProcessId
    log: Path

    def state(self) -> ComponentState:
        detail = self.why_not_well()
        return ComponentState(self.component.name, self.id, not detail, detail)

    def why_not_well(self) -> str:
        """Empty if the process lives and its probe, if it has one, answers 200."""
        if (code := self.process.poll()) is not None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
            return f"{how}; its log is {self.log}"
        return why_probe_fails(self.component.probe) if self.component.probe else ""


class Children:
    """The children of one supervisor, in order of start. `root` is the mark, `logs` takes one file per component."""

    def __init__(self, root: Path, logs: Path) -> None:
        self._root = root
        self._logs = logs
        self._children: list[Child] = []
        self._known_dead = 0
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, component: Component) -> Child:
        log = self._logs / f"{component.name}.log"
        environment = os.environ | {MARK: str(self._root)}
        with log.open("ab") as output:
            process = subprocess.Popen(
                component.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        child = Child(component, process, _identify(process), log)
        self._children.append(child)
        return child

    def wait_until_well(self, child: Child, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Returns when the probe answers; raises LocalClusterError, with the log's end, if it dies or never does."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while why := child.why_not_well():
            if is_cancelled():
                raise LocalClusterError("stopped while starting")
            if child.process.poll() is not None:
                raise LocalClusterError(f"{child.component.name} {why}\n{tail(child.log)}")
            if time.monotonic() > deadline:
                raise LocalClusterError(
                    f"{child.component.name} wasn't well after {READY_TIMEOUT_S:.0f} s ({why}); its log is {child.log}"
                )
            time.sleep(0.05)

    def states(self) -> tuple[ComponentState, ...]:
        return tuple(child.state() for child in self._children)

    def any_newly_dead(self) -> bool:
        """Whether a child died since this was last asked."""
        dead = sum(child.process.poll() is not None for child in self._children)
        is_news = dead > self._known_dead
        self._known_dead = dead
        return is_news

    def stop(self) -> None:
        """Ends all, last started first, and returns when they are really gone and their ports with them."""
        for child in reversed(self._children):
            _end(child.process, child.component.grace_s)
        self._children.clear()
        end_marked(self._root)

    def reap_orphans(self) -> None:
        """Collects grandchildren that were left to us (see `adopt_orphans`); ours are left to their own `poll`."""
        own = {child.process.pid for child in self._children}
        for orphan in psutil.Process().children():
            if orphan.pid not in own:
                with contextlib.suppress(ChildProcessError, psutil.Error):
                    os.waitpid(orphan.pid, os.WNOHANG)


def adopt_orphans() -> None:
    """Makes this process the parent of grandchildren whose parent dies (Linux), instead of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_marked(root: Path) -> list[int]:
    """Ends every process that carries the mark of the cluster at `root`, but this one; returns their pids."""
    found = list(_marked(root))
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=5)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=10)
    return [process.pid for process in found]


def _marked(root: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_marked = process.environ().get(MARK) == str(root)
            if is_marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def why_probe_fails(probe: Probe) -> str:
    """Empty if it answers 200 within 5 s."""
    try:
        with contextlib.closing(_connect(probe)) as connection:
            headers = {"Authorization": f"Bearer {probe.token}"} if probe.token else {}
            connection.request("GET", probe.path, headers=headers)
            status = connection.getresponse().status
        return "" if status == http.client.OK else f"{probe.path} answers {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{probe.path} on port {probe.port}: {error}"


def _connect(probe: Probe) -> http.client.HTTPConnection:
    if probe.ca is None:
        return http.client.HTTPConnection(LOOPBACK, probe.port, timeout=5)
    context = ssl.create_default_context(cafile=str(probe.ca))
    return http.client.HTTPSConnection(LOOPBACK, probe.port, timeout=5, context=context)


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The end of a log, for an error message."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        text = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {line[:400]}" for line in text[-lines:])
    return ""


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _identify(process: subprocess.Popen[bytes]) -> ProcessId:
    try:
        return ProcessId.of(process.pid)
    except psutil.NoSuchProcess:  # died at once; the poll that follows tells how
        return ProcessId(process.pid, time.time())


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the two other nets must do
        _LIBC.prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
