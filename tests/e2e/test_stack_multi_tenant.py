"""The multi-tenant stack, in two: a platform, and workloads that refer to it. Both come up, show no change, and go."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.fleets import domains, leaves_nothing, set_config
from tests.support.project import Project

pytestmark = pytest.mark.needs_tools
STACK = "multi-tenant"


@pytest.fixture(scope="module")
def parts(project: Project) -> tuple[Project, Project]:
    """The stack file split: a platform, and workloads that refer to it."""
    whole = project.read_stack()["config"]
    platform = dataclasses.replace(project, stack="platform")
    platform.write_stack(
        {"config": {k: v for k, v in whole.items() if k != "grove:workloads"} | {"grove:part": "platform"}}
    )
    workloads = dataclasses.replace(project, stack="workloads")
    workloads.write_stack(
        {
            "config": {
                "grove:part": "workloads",
                "grove:platformStack": "organization/grove/platform",
                "grove:tenants": whole["grove:tenants"],
                "grove:workloads": whole["grove:workloads"],
            }
        }
    )
    return platform, workloads


def test_workloads_without_their_platform_are_one_clear_error(parts: tuple[Project, Project]) -> None:
    done = parts[1].try_pulumi("preview")
    assert done.code != 0
    assert "organization/grove/platform" in done.text


def test_both_come_up_and_show_no_change(parts: tuple[Project, Project]) -> None:
    for part in parts:
        part.pulumi("up", "--yes", "--skip-preview")
        part.pulumi("preview", "--expect-no-changes")
    quota = parts[0].get("resourcequota", "team-search", "tenant")
    assert quota["status"]["used"]["requests.nvidia.com/gpu"] == "16"
    for index in (0, 1):
        selector = f"grove.io/podcliquescalinggroup-replica-index={index}"
        assert len(set(domains(parts[0], "team-search", "topology.kubernetes.io/rack", selector))) == 1


def test_the_operator_is_not_deleted_from_under_the_workloads(parts: tuple[Project, Project]) -> None:
    for what in ("deployment/grove-operator", "namespace/grove-system"):
        with pytest.raises(AssertionError, match="2 PodCliqueSets: team-agents/helpdesk, team-search/ranker;"):
            parts[0].kubectl("delete", what, "-n", "grove-system", "--wait=false")
    assert len(parts[0].select("pods", "grove-system", "app.kubernetes.io/name=grove-operator")) == 1


def test_a_level_that_the_platform_doesnt_have_is_refused_before_anything_changes(
    parts: tuple[Project, Project],
) -> None:
    workloads = parts[1].read_stack()["config"]["grove:workloads"]
    wrong = [workloads[0], {**workloads[1], "name": "other", "placement": {"preferred": "row"}}]
    set_config(parts[1], workloads=wrong)
    done = parts[1].try_pulumi("preview")
    set_config(parts[1], workloads=workloads)
    assert done.code != 0
    assert "grove:workloads[1] other" in done.text
    assert "'row' does not exist" in done.text


def test_they_go_one_after_the_other_and_leave_nothing(parts: tuple[Project, Project]) -> None:
    for part in parts[::-1]:
        part.pulumi("destroy", "--yes", "--skip-preview")
    assert leaves_nothing(parts[0], "team-search", "team-agents")
