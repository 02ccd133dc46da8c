"""What holds after every end-to-end test, whatever it did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grove_operator.localcluster.checker import check_nodes
from tests.support.project import Project


@pytest.fixture(autouse=True)
def no_node_is_over_its_allocatable(request: pytest.FixtureRequest) -> Iterator[None]:
    """Judged by a checker that shares no code with operator or scheduler."""
    yield
    project = getattr(request.node, "funcargs", {}).get("project")
    if isinstance(project, Project):
        assert check_nodes(project.get("nodes"), project.get("pods")) == []
