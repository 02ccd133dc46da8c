"""Bad input is met with one clear error and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from grove_operator.localcluster.checker import check_nodes
from tests.support.clusters import LocalCluster
from tests.support.project import Project
from tests.support.waiting import wait_for

pytestmark = pytest.mark.needs_tools


@pytest.fixture
def project(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = tmp_path_factory.mktemp("home")
    return Project.copy_to(tmp_path_factory.mktemp("project"), home, cluster.kubeconfig)


def refusal(project: Project, change: Any) -> str:
    """What a preview says of the changed stack file; it has to fail, and to leave no object behind."""
    config = project.read_stack()
    change(config["config"])
    project.write_stack(config)
    done = project.try_pulumi("preview")
    assert done.code != 0, done.text
    assert "Traceback" not in done.text, done.text
    namespaces = [n["metadata"]["name"] for n in project.get("ns")]
    assert "grove-system" not in namespaces
    return done.text


def test_an_unknown_field_in_the_graph_deployment(project: Project) -> None:
    def change(config: Any) -> None:
        config["grove:graph"]["services"]["Frontend"]["replica"] = 3

    said = refusal(project, change)
    assert "Frontend" in said
    assert "replica" in said


def test_a_service_name_too_long_for_the_name_budget(project: Project) -> None:
    def change(config: Any) -> None:
        services = config["grove:graph"]["services"]
        services["AnExtremelyLongServiceNameThatNoPodNameCanHold"] = services.pop("Frontend")

    assert "45" in refusal(project, change)


def test_a_stack_config_with_a_wrong_type(project: Project) -> None:
    def change(config: Any) -> None:
        config["grove:operator"]["webhookPort"] = "many"

    said = refusal(project, change)
    assert "webhookPort" in said
    assert "Pulumi.local.yaml" in said


def test_a_topology_level_that_does_not_exist(project: Project) -> None:
    def change(config: Any) -> None:
        config["grove:graph"]["placement"] = {"preferred": "aisle"}

    said = refusal(project, change)
    assert "aisle" in said
    assert "rack" in said


def test_a_port_already_in_use(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = project.grove("up", "--name", "second", "--port", str(port))
    assert done.code == 1
    assert str(port) in done.text
    assert "Traceback" not in done.text
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(project.home) in " ".join(p.info["cmdline"] or ())]


def test_the_api_server_killed_under_up_and_a_second_up_completes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("project")
    kubeconfig = home / "clusters" / "local" / "kubeconfig"
    project = Project.copy_to(folder, home, kubeconfig)
    assert project.grove("up").code == 0
    try:
        kill_the_api_server_under_up(project)
        assert project.grove("up").code == 0
        project.pulumi("up", "--yes", "--skip-preview")
        pods = project.get("pods", "vllm-v1-disagg-router")
        assert len(pods) == 4
        assert {p["status"]["phase"] for p in pods} == {"Running"}
        assert check_nodes(project.get("nodes"), project.get("pods")) == []
    finally:
        assert project.grove("down", "--delete").code == 0


def kill_the_api_server_under_up(project: Project) -> None:
    """Ends kube-apiserver as soon as the operator's Deployment exists; the running `pulumi up` has to fail clearly."""
    grove = str(Path(sys.executable).parent / "grove")
    up = subprocess.Popen(
        [grove, "pulumi", "--", "up", "--yes", "--skip-preview", "--stack", project.stack],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    wait_for(lambda: deployment_exists(project), "the operator's Deployment")
    status = project.grove("status", "-o", "json")
    apiserver = next(c for c in json.loads(status.stdout)["components"] if c["name"] == "kube-apiserver")
    os.kill(apiserver["pid"], signal.SIGKILL)
    said, _ = up.communicate(timeout=240)
    assert up.returncode != 0, said
    assert "Traceback" not in said, said


def deployment_exists(project: Project) -> bool:
    try:
        return "grove-operator" in project.kubectl("get", "deployments", "-n", "grove-system", "-o", "name")
    except AssertionError:
        return False
