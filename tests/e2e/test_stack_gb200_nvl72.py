"""The gb200-nvl72 stack comes up on its fleet with the real engine, shows no change, and goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.fleets import domains, example_runs, leaves_nothing
from tests.support.project import Project

pytestmark = pytest.mark.needs_tools
STACK = "gb200-nvl72"


def test_every_instance_sits_whole_in_one_nvlink_domain(project: Project) -> None:
    project.pulumi("up", "--yes", "--skip-preview")
    project.pulumi("preview", "--expect-no-changes")
    for index in (0, 1):
        for group, pods in (("decode", 8), ("prefill", 2)):
            selector = (
                f"grove.io/podcliquescalinggroup=deepseek-r1-0-{group},"
                f"grove.io/podcliquescalinggroup-replica-index={index}"
            )
            counted = Counter(domains(project, "deepseek", "nvidia.com/gpu.clique", selector))
            assert list(counted.values()) == [pods]


def test_the_leader_worker_example_runs_beside_it(project: Project, tmp_path: Path) -> None:
    assert example_runs(project, "leader-worker", tmp_path) == {"frontend": 1, "leader": 2, "worker": 14}


def test_it_goes_and_leaves_nothing(project: Project) -> None:
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert leaves_nothing(project, "deepseek")
