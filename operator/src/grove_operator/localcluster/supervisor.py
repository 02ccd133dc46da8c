"""The one detached process of a local cluster: `python -m grove_operator.localcluster.supervisor ROOT`.

It reads `ROOT/request.json`, starts the components in order, writes `ROOT/state.json` whenever something changes, and
on SIGTERM, SIGINT or SIGHUP stops all, waits until they are gone and removes its state. It restarts nothing: a
component that died is reported and leaves the cluster unhealthy, so that no failure is papered over.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from grove_operator.localcluster import controlplane
from grove_operator.localcluster.controlplane import Component, Ports
from grove_operator.localcluster.controlplane_client import ready_nodes
from grove_operator.localcluster.controlplane_kwok import kwok, write_kwok_config
from grove_operator.localcluster.fleet import load_fleet
from grove_operator.localcluster.pki import USERS, Pki, ensure_pki, write_kubeconfig
from grove_operator.localcluster.state import (
    ClusterPaths,
    ClusterState,
    LocalClusterError,
    ProcessId,
    save_state,
    write_json,
)
from grove_operator.localcluster.supervisor_children import Children, adopt_orphans, tail

CHECK_INTERVAL_S = 0.25
PROBE_INTERVAL_S = 5.0
NODES_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Request:
    """What to run. `programs`: name to path; `fleet`: its file, "" for no node agent; `nodes`: how many it has."""

    name: str
    ports: Ports
    programs: Mapping[str, str]
    fleet: str
    nodes: int

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Request:
        """Raises OSError, ValueError, KeyError or TypeError if there is none or it isn't one."""
        raw = json.loads(path.read_text())
        return cls(ports=Ports(**raw.pop("ports")), **raw)


class Supervisor:
    def __init__(self, paths: ClusterPaths, request: Request) -> None:
        self._paths = paths
        self._request = request
        self._children = Children(paths.root, paths.logs)
        self._stop = threading.Event()
        self._id = ProcessId.of(os.getpid())
        self._written: ClusterState | None = None

    def run(self) -> int:
        """Until told to stop; the exit code: 0 after an orderly stop, 1 if the start failed."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop.set())
        adopt_orphans()
        self._publish("starting")
        try:
            self._start()
            self._publish("ready")
            self._watch()
            self._publish("stopping")
        except LocalClusterError as error:
            self._children.stop()
            if not self._stop.is_set():
                self._publish("failed", str(error))
                return 1
        finally:
            self._children.stop()
        self._paths.state.unlink(missing_ok=True)
        return 0

    def _start(self) -> None:
        pki = self._write_credentials()
        for group in self._components(pki):
            started = [self._children.start(component) for component in group]
            for child in started:
                self._children.wait_until_well(child, self._stop.is_set)
            self._publish("starting")
        self._await_nodes(pki)

    def _write_credentials(self) -> Pki:
        pki = ensure_pki(self._paths.pki)
        for user, (full_name, _) in USERS.items():
            path = self._paths.kubeconfig if user == "admin" else pki.kubeconfig(user)
            server, token = self._request.ports.server, pki.token(user)
            write_kubeconfig(
                path, cluster=self._request.name, server=server, ca=pki.ca, user=full_name, token=token
            )  # fmt: skip
        return pki

    def _components(self, pki: Pki) -> Iterator[tuple[Component, ...]]:
        """Groups; each waits until the one before is well."""
        ports = self._request.ports
        program = {name: Path(path) for name, path in self._request.programs.items()}
        scheduler_config = self._paths.pki / "kube-scheduler.json"
        write_json(scheduler_config, controlplane.kube_scheduler_config(pki))
        yield (controlplane.etcd(program["etcd"], ports, self._paths.etcd),)
        yield (controlplane.kube_apiserver(program["kube-apiserver"], ports, pki),)
        group = [
            controlplane.kube_controller_manager(
                program["kube-controller-manager"], ports, pki, quick_autoscaler=self._is_autoscaler_quick()
            ),
            controlplane.kube_scheduler(program["kube-scheduler"], ports, pki, scheduler_config),
        ]
        if self._request.fleet:
            group.append(controlplane.node_agent(ports, pki, Path(self._request.fleet), self._paths.agent))
        if "kwok" in program:
            config = self._paths.root / "kwok.yaml"
            write_kwok_config(config)
            group.append(kwok(program["kwok"], pki, config, ports.kwok))
        yield tuple(group)

    def _is_autoscaler_quick(self) -> bool:
        return bool(self._request.fleet) and load_fleet(self._request.fleet).play.autoscaler == "quick"

    def _await_nodes(self, pki: Pki) -> None:
        if not self._request.fleet:
            return
        deadline = time.monotonic() + NODES_TIMEOUT_S
        while (ready := ready_nodes(self._request.ports.server, pki.ca, pki.token("admin"))) < self._request.nodes:
            unwell = [f"{c.name} {c.detail}" for c in self._children.states() if not c.healthy]
            if unwell:
                said = tail(self._paths.logs / f"{unwell[0].split()[0]}.log")
                raise LocalClusterError(f"{'; '.join(unwell)}\n{said}")
            if time.monotonic() > deadline:
                raise LocalClusterError(
                    f"only {ready} of {self._request.nodes} nodes were ready after {NODES_TIMEOUT_S:.0f} s; "
                    f"see {self._paths.logs / 'node-agent.log'}"
                )
            if self._stop.wait(0.1 + self._request.nodes / 2000):
                raise LocalClusterError("stopped while starting")

    def _watch(self) -> None:
        """Publishes deaths within a quarter of a second, failing probes within a few."""
        next_probe = 0.0
        while not self._stop.wait(CHECK_INTERVAL_S):
            self._children.reap_orphans()
            if self._children.any_newly_dead() or time.monotonic() >= next_probe:
                self._publish("ready")
                next_probe = time.monotonic() + PROBE_INTERVAL_S

    def _publish(self, phase: str, error: str = "") -> None:
        """Writes the state file, if anything in it changed."""
        state = ClusterState(
            name=self._request.name,
            phase=phase,
            supervisor=self._id,
            kubeconfig=str(self._paths.kubeconfig),
            apiserver=self._request.ports.server,
            fleet=self._request.fleet,
            nodes=self._request.nodes,
            error=error,
            components=self._children.states(),
        )
        if state != self._written:
            save_state(self._paths.state, state)
            self._written = state


def main(argv: list[str]) -> int:
    root = Path(argv[1])
    paths = ClusterPaths(root.name, root)
    return Supervisor(paths, Request.load(paths.request)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
