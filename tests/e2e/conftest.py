"""What holds after every end-to-end test, whatever it did; and a cluster that is operated without Pulumi."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.checker import check_nodes
from grove_operator.localcluster.fleet import default_fleet_path
from grove_operator.localcluster.supervisor_control import UpOptions, down, up
from grove_operator.localcluster.tools_report import PlainReport
from tests.support.deployed import install
from tests.support.operated import Operated
from tests.support.project import Project

REAL_PYTHON = "registry.example/python"
"""Containers of this image are processes: Python with the container's arguments."""


@pytest.fixture(autouse=True)
def no_node_is_over_its_allocatable(request: pytest.FixtureRequest) -> Iterator[None]:
    """Judged by a checker that shares no code with operator or scheduler."""
    yield
    used = getattr(request.node, "funcargs", {})
    project = used.get("project") or (used["operated"].project if "operated" in used else None)
    if isinstance(project, Project):
        assert check_nodes(project.get("nodes"), project.get("pods")) == []


@pytest.fixture(scope="session")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Eight nodes of 64 CPUs, operator and scheduler from the Deployments that users get; one per test process."""
    home = tmp_path_factory.mktemp("operated")
    local = yaml.safe_load(default_fleet_path().read_text())
    pools = [{"name": "node", "count": 8, "capacity": {"cpu": 64, "memory": "512Gi", "pods": 110}}]
    images = [*local["images"], {"match": REAL_PYTHON, "run": ["${PYTHON}", "${ARGS}"]}]
    fleet = home / "fleet.yaml"
    fleet.write_text(yaml.safe_dump({"pools": pools, "images": images, "play": local["play"]}))
    state = up(UpOptions("operated", fleet=fleet), PlainReport(), home).state
    try:
        asyncio.run(_install(Path(state.kubeconfig)))
        yield Operated(home, Path(state.kubeconfig))
    finally:
        down("operated", delete=True, home=home)


async def _install(kubeconfig: Path) -> None:
    async with HttpKubeApi.from_kubeconfig(kubeconfig) as api:
        await install(api)
