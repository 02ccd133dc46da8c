"""What holds after every end-to-end test, whatever it did; and a cluster that is operated without Pulumi."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grove_operator.localcluster.checker import check_nodes
from tests.support.operated import REAL_PYTHON, Operated, operated_cluster
from tests.support.project import Project

__all__ = ["REAL_PYTHON"]


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
    """Operator and scheduler from the Deployments that users get; one cluster for each test process."""
    with operated_cluster(tmp_path_factory.mktemp("operated")) as running:
        yield running
