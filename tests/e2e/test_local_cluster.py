"""`grove up`, `status` and `down` as a user runs them: nothing is left behind, whatever happens in between."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from grove_operator.localcluster.controlplane import is_port_free
from grove_operator.localcluster.state import ClusterPaths, load_state
from grove_operator.localcluster.supervisor import Request
from grove_operator.localcluster.supervisor_children import MARK
from tests.support.grove import Grove
from tests.support.kubectl import Kubectl


@pytest.fixture
def grove(tmp_path: Path) -> Iterator[Grove]:
    """A home of its own; whatever a failed test leaves running is taken down."""
    grove = Grove(tmp_path / "home")
    yield grove
    for lock in (grove.home / "clusters").glob("*.lock"):
        grove.run("down", "--name", lock.stem, "--delete")


def marked(grove: Grove, name: str = "local") -> list[psutil.Process]:
    """Living processes of the cluster, by the mark in their environment."""
    root = str(ClusterPaths.of(name, grove.home).root)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == root and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def pids(status: Any) -> dict[str, int]:
    return {component["name"]: component["pid"] for component in status["components"]}


def ports_of(grove: Grove, name: str = "local") -> list[int]:
    return list(vars(Request.load(ClusterPaths.of(name, grove.home).request).ports).values())


def test_up_is_ready_with_its_nodes_a_second_up_reuses_it_and_down_leaves_nothing(grove: Grove) -> None:
    assert grove.status()["running"] is False
    assert "export KUBECONFIG=" in grove("up")
    first = grove.status()
    assert first["running"] is True
    assert first["nodes"] == 18
    assert list(pids(first)) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "node-agent"]
    assert all(component["healthy"] for component in first["components"])
    kubectl = Kubectl(Path(first["kubeconfig"]))
    kubectl("wait", "--for=create", "configmap/kube-root-ca.crt", "serviceaccount/default", "--timeout=60s")

    assert "already runs" in grove("up")
    assert pids(grove.status()) == pids(first)
    other_port = grove.run("up", "--port", str(ports_of(grove)[0]))
    assert other_port.returncode == 1
    assert "already runs at" in other_port.stderr
    assert "grove down" in other_port.stderr

    ports = ports_of(grove)
    assert "is down" in grove("down")
    assert marked(grove) == []
    assert not any(psutil.pid_exists(pid) for pid in pids(first).values())
    assert all(is_port_free(port) for port in ports)
    assert grove.status()["running"] is False
    assert "was not running" in grove("down")


def test_a_killed_api_server_shows_in_status_and_up_replaces_the_cluster_on_the_same_data(grove: Grove) -> None:
    grove("up", "--no-agent")
    before = grove.status()
    Kubectl(Path(before["kubeconfig"]))("create", "configmap", "kept", "--from-literal=a=b")
    os.kill(pids(before)["kube-apiserver"], signal.SIGKILL)
    broken = grove.status()
    assert broken["running"] is False
    assert "kube-apiserver" in broken["reason"]
    assert grove.run("status", "--check").returncode == 1
    assert "grove up" in grove("status")

    grove("up", "--no-agent")
    after = grove.status()
    assert after["running"] is True
    assert after["apiserver"] == before["apiserver"]
    assert not set(pids(after).values()) & set(pids(before).values())
    assert not any(psutil.pid_exists(pid) for pid in pids(before).values())
    assert Kubectl(Path(after["kubeconfig"])).get("configmap/kept")["data"] == {"a": "b"}
    grove("down", "--delete")
    assert not ClusterPaths.of("local", grove.home).root.exists()


def test_a_killed_supervisor_takes_its_children_along_and_down_sweeps_the_rest(grove: Grove) -> None:
    grove("up", "--no-agent")
    status = grove.status()
    os.kill(status["supervisor"]["pid"], signal.SIGKILL)
    assert "supervisor died" in grove.status()["reason"]
    grove("down")
    assert marked(grove) == []
    assert all(is_port_free(port) for port in ports_of(grove))


def test_two_clusters_live_side_by_side(grove: Grove) -> None:
    grove("up", "--no-agent")
    grove("up", "--no-agent", "--name", "second")
    first, second = grove.status(), grove.status("--name", "second")
    assert first["running"]
    assert second["running"]
    assert first["apiserver"] != second["apiserver"]
    grove("down", "--name", "second")
    assert grove.status()["running"] is True


def test_a_port_in_use_is_one_clear_error_and_nothing_is_left_behind(grove: Grove) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = grove.run("up", "--port", str(port))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert f"port {port} is already in use by " in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr
    assert "choose another --port" in refused.stderr
    assert not grove.home.exists()


def test_ctrl_c_while_it_starts_leaves_no_process_no_port_and_no_folder(grove: Grove) -> None:
    paths = ClusterPaths.of("local", grove.home)
    with grove.start("up", "--no-agent") as process:
        while (state := load_state(paths.state)) is None or not state.components:
            assert process.poll() is None
            time.sleep(0.01)
        ports = ports_of(grove)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "interrupted; cluster local was taken down again" in said
    assert marked(grove) == []
    assert all(is_port_free(port) for port in ports)
    assert not paths.root.exists()


def test_ctrl_c_of_a_cluster_in_the_foreground_takes_it_down_and_keeps_its_data(grove: Grove) -> None:
    with grove.start("up", "--no-agent", "--foreground") as process:
        assert process.stdout is not None
        assert any("Ctrl-C ends it" in line for line in process.stdout)
        assert grove.status()["running"] is True
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert "cluster local is down" in said
    assert marked(grove) == []
    assert all(is_port_free(port) for port in ports_of(grove))
    assert ClusterPaths.of("local", grove.home).etcd.is_dir()


def test_a_fleet_file_that_cant_be_used_is_refused_before_anything_starts(grove: Grove, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("pools: [{name: a, count: 1, capacity: {cpu: 1}}]\n")
    refused = grove.run("up", "--fleet", str(fleet))
    assert refused.returncode == 1
    assert "lacks memory, pods" in refused.stderr
    assert not grove.home.exists()
