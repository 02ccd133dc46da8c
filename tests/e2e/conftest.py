"""What holds after every end-to-end test, whatever it did; and a cluster that is operated without Pulumi."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from grove_operator.localcluster.checker import check_nodes
from tests.support.fleets import stack_on_its_fleet
from tests.support.operated import REAL_PYTHON, Operated, operated_cluster
from tests.support.project import Project
from tests.support.scene import scene

__all__ = ["REAL_PYTHON"]


def cluster_of(test: pytest.Item) -> Project | None:
    """The one that the test used, if any."""
    used = getattr(test, "funcargs", {})
    project = used.get("project") or (used["operated"].project if "operated" in used else None)
    return project if isinstance(project, Project) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is shown with the cluster as it was."""
    report = yield
    if report.when == "call" and report.failed and (project := cluster_of(item)):
        report.sections.append(("the cluster", scene(project)))
    return report


@pytest.fixture(autouse=True)
def no_node_is_over_its_allocatable(request: pytest.FixtureRequest) -> Iterator[None]:
    """Judged by a checker that shares no code with operator or scheduler."""
    yield
    if project := cluster_of(request.node):
        assert check_nodes(project.get("nodes"), project.get("pods")) == []


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The stack that the module names as STACK, on its fleet. Other stories make a project of their own."""
    stack: str = request.module.STACK
    with stack_on_its_fleet(stack, tmp_path_factory.mktemp(stack), tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="session")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Operator and scheduler from the Deployments that users get; one cluster for each test process."""
    with operated_cluster(tmp_path_factory.mktemp("operated")) as running:
        yield running
