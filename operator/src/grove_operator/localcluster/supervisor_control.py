"""Starting, stopping and inspecting a local cluster from outside its supervisor: what `grove up`, `down`, `status` do.

```
up:    lock -> look -> healthy: reuse it
                    -> broken:  end what is left, then as below, on the same data, keys and ports
                    -> none:    programs -> request.json -> spawn supervisor -> wait for `ready`
down:  lock -> SIGTERM to the supervisor -> wait until it is gone -> sweep -> remove state (and data, if asked)
```
Data survive `down`, so that Pulumi's record of what it made stays true; `delete=True` removes them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from grove_operator.localcluster.controlplane import Probe, choose_ports, is_port_free
from grove_operator.localcluster.fleet import FleetError, default_fleet_path, load_fleet
from grove_operator.localcluster.pki import Pki
from grove_operator.localcluster.state import (
    DEFAULT_NAME,
    ClusterPaths,
    ClusterState,
    LocalClusterError,
    ProcessId,
    exclusive,
    load_state,
    write_file,
)
from grove_operator.localcluster.supervisor import Request
from grove_operator.localcluster.supervisor_children import MARK, end_marked, tail, why_probe_fails
from grove_operator.localcluster.tools import locate
from grove_operator.localcluster.tools_report import Report

STOP_TIMEOUT_S = 180.0
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class UpOptions:
    """`port`: of the API server, None for a free one; `fleet`: None for the local one, or that of a broken cluster."""

    name: str = DEFAULT_NAME
    port: int | None = None
    fleet: Path | None = None
    has_agent: bool = True
    offline: bool = False


@dataclass(frozen=True)
class Started:
    state: ClusterState
    is_reused: bool


def up(options: UpOptions, report: Report, home: Path | None = None) -> Started:
    """Returns when the cluster is ready, all its nodes registered. Raises LocalClusterError, leaving nothing behind."""
    paths = ClusterPaths.of(options.name, home)
    fleet_text = _checked_fleet(options.fleet)
    if load_state(paths.state) is None:
        _require_free(options.port)
    with exclusive(paths.lock):
        old = load_state(paths.state)
        if old is not None and why_unhealthy(old) == "":
            _require_same(options, old, fleet_text)
            return Started(old, is_reused=True)
        if old is not None:
            report.say(f"cluster {options.name} is broken ({why_unhealthy(old)}): replacing it")
            stop(paths, old)
        _require_free(options.port)
        is_new = not paths.root.exists()
        try:
            return Started(_start(options, paths, old, fleet_text, report), is_reused=False)
        except BaseException:
            stop(paths, load_state(paths.state))
            if is_new:
                shutil.rmtree(paths.root, ignore_errors=True)
            raise


def down(name: str = DEFAULT_NAME, *, delete: bool = False, home: Path | None = None) -> bool:
    """Whether anything was running. On return no process of the cluster lives and none of its ports is taken."""
    paths = ClusterPaths.of(name, home)
    if not paths.root.exists():
        return False
    with exclusive(paths.lock):
        state = load_state(paths.state)
        swept = stop(paths, state)
        if delete:
            shutil.rmtree(paths.root, ignore_errors=True)
        return state is not None or swept


def why_unhealthy(state: ClusterState) -> str:
    """Empty if the supervisor says ready, all its processes live, and the API server answers just now."""
    if not state.supervisor.is_alive:
        return "its supervisor died"
    dead = [f"{c.name} {c.detail or 'died'}" for c in state.components if not (c.healthy and c.id.is_alive)]
    if dead:
        return "; ".join(dead)
    if state.phase != "ready":
        return state.error or f"it is {state.phase}"
    pki = Pki(Path(state.kubeconfig).parent / "pki")
    return why_probe_fails(Probe(int(state.apiserver.rsplit(":", 1)[1]), "/readyz", pki.ca))


def stop(paths: ClusterPaths, state: ClusterState | None) -> bool:
    """Ends the supervisor in order, then whatever still carries the cluster's mark; whether there was anything."""
    ended = _end_supervisor(state.supervisor) if state else False
    swept = end_marked(paths.root)
    paths.state.unlink(missing_ok=True)
    return ended or bool(swept)


def _end_supervisor(supervisor: ProcessId) -> bool:
    process = supervisor.process()
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    if not _wait_gone(supervisor, STOP_TIMEOUT_S):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        _wait_gone(supervisor, 10)
    with contextlib.suppress(ChildProcessError):  # it is our child if this process started it
        os.waitpid(supervisor.pid, os.WNOHANG)
    return True


def _wait_gone(process: ProcessId, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while process.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _start(
    options: UpOptions, paths: ClusterPaths, old: ClusterState | None, fleet_text: str, report: Report
) -> ClusterState:
    earlier = _earlier_request(paths)
    fleet = paths.root / "fleet.yaml"
    if not (old is not None and options.fleet is None and fleet.is_file()):
        write_file(fleet, fleet_text, 0o644)
    nodes = load_fleet(fleet).nodes() if options.has_agent else []
    names = (*PROGRAMS, "kwok") if any(node.played_by == "kwok" for node in nodes) else PROGRAMS
    programs = {name: str(locate(name, offline=options.offline, report=report)) for name in names}
    ports = choose_ports(options.port)
    if earlier and options.port in (None, earlier.ports.apiserver):
        ports = earlier.ports if all(is_port_free(port) for port in astuple(earlier.ports)) else ports
    Request(options.name, ports, programs, str(fleet) if options.has_agent else "", len(nodes)).save(paths.request)
    paths.logs.mkdir(parents=True, exist_ok=True)
    with report.step(f"starting cluster {options.name}", "components") as step:
        supervisor = ProcessId.of(_spawn(paths))
        try:
            return _await_ready(paths, supervisor, step.update)
        except BaseException:
            _end_supervisor(supervisor)
            raise


def _spawn(paths: ClusterPaths) -> int:
    """The pid of the detached supervisor: a session of its own, so that no terminal's Ctrl-C or hang-up reaches it."""
    log = os.open(paths.logs / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    search = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH", ""))))
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "grove_operator.localcluster.supervisor", str(paths.root)],
            os.environ | {MARK: str(paths.root), "PYTHONPATH": search},
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0), *((os.POSIX_SPAWN_DUP2, log, fd) for fd in (1, 2))],
            setsid=True,
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    finally:
        os.close(log)
        os.close(nothing)


def _await_ready(paths: ClusterPaths, supervisor: ProcessId, update: Callable[[int], None]) -> ClusterState:
    while True:
        state = load_state(paths.state)
        if state is not None and state.supervisor.pid == supervisor.pid:
            update(len(state.components))
            if state.phase == "ready":
                return state
            if state.phase == "failed":
                raise LocalClusterError(f"cluster {paths.name} didn't start: {state.error}")
        if not supervisor.is_alive:
            said = tail(paths.logs / "supervisor.log")
            raise LocalClusterError(f"cluster {paths.name} didn't start: its supervisor ended\n{said}")
        time.sleep(0.05)


def _earlier_request(paths: ClusterPaths) -> Request | None:
    try:
        return Request.load(paths.request)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checked_fleet(path: Path | None) -> str:
    chosen = path or default_fleet_path()
    try:
        load_fleet(chosen)
    except FleetError as error:
        raise LocalClusterError(str(error)) from error
    return chosen.read_text()


def _require_free(port: int | None) -> None:
    if port is None or is_port_free(port):
        return
    raise LocalClusterError(
        f"port {port} is already in use{_holder(port)}; choose another --port, or leave it out to get a free one"
    )


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid and connection.status == "LISTEN":
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def _require_same(options: UpOptions, running: ClusterState, fleet_text: str) -> None:
    """A cluster that runs is only reused for what it was started with."""
    remedy = f"run `grove down --name {options.name}` first, or choose another --name"
    if options.port is not None and not running.apiserver.endswith(f":{options.port}"):
        raise LocalClusterError(f"cluster {options.name} already runs at {running.apiserver}; {remedy}")
    if options.has_agent != bool(running.fleet):
        raise LocalClusterError(f"cluster {options.name} runs with{'' if running.fleet else 'out'} nodes; {remedy}")
    if options.fleet is not None and running.fleet and Path(running.fleet).read_text() != fleet_text:
        raise LocalClusterError(f"cluster {options.name} already runs with another fleet; {remedy}")
