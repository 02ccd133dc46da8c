"""The same stack on a cluster that the user already has: named in the stack config, not made by this project's home.

There the CRDs are shared: they outlive the stack unless it says `deleteCrds: true`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from tests.support.grove import Grove
from tests.support.project import Project

pytestmark = pytest.mark.needs_tools
NAMESPACE = "vllm-v1-disagg-router"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose own home has no cluster; KUBECONFIG names none, `grove:kubeconfig` the other's."""
    theirs = Grove(tmp_path_factory.mktemp("their-home"))
    theirs("up", "--name", "theirs")
    kubeconfig = theirs.home / "clusters" / "theirs" / "kubeconfig"
    project = Project.copy_to(
        tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home"), kubeconfig, names_cluster=False
    )
    config = project.read_stack()
    config["config"]["grove:kubeconfig"] = str(kubeconfig)
    del config["config"]["grove:deleteCrds"]
    project.write_stack(config)
    try:
        yield project
    finally:
        theirs("down", "--name", "theirs", "--delete")


@pytest.fixture(scope="module")
def stranger(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same program and cluster with a Pulumi state of its own: it knows nothing of what exists."""
    return dataclasses.replace(project, home=tmp_path_factory.mktemp("strangers-home"))


def test_the_stack_comes_up_there(project: Project) -> None:
    project.pulumi("up", "--yes", "--skip-preview")
    pods = project.get("pods", NAMESPACE)
    assert len(pods) == 4
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    project.pulumi("preview", "--expect-no-changes")


def test_destroy_stops_at_the_protected_crds_before_anything_is_deleted(project: Project) -> None:
    done = project.try_pulumi("destroy", "--yes")
    assert done.code != 0
    assert "protect" in done.text
    assert len(project.get("pods", NAMESPACE)) == 4


def test_destroy_without_the_protected_removes_the_workloads_and_keeps_the_crds(project: Project) -> None:
    project.pulumi("destroy", "--yes", "--exclude-protected")
    crds = {crd["metadata"]["name"] for crd in project.get("crd")}
    assert "podcliquesets.grove.io" in crds
    assert "dynamographdeployments.nvidia.com" in crds
    left = {n["metadata"]["name"] for n in project.get("ns")}
    assert left.isdisjoint({NAMESPACE, "grove-system"})
    assert project.labelled("app.kubernetes.io/managed-by=grove-operator") == []


def test_the_stack_comes_up_again_on_the_crds_that_stayed(project: Project) -> None:
    project.pulumi("up", "--yes", "--skip-preview")
    assert len(project.get("pods", NAMESPACE)) == 4


def test_crds_that_another_stack_left_are_refused_before_anything_is_made(project: Project, stranger: Project) -> None:
    project.pulumi("destroy", "--yes", "--exclude-protected")
    done = stranger.try_pulumi("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert "already exists" in done.text
    assert {"grove-system", NAMESPACE}.isdisjoint(n["metadata"]["name"] for n in project.get("ns"))


def test_a_stack_that_says_so_adopts_them_and_then_no_longer_has_to_say_so(stranger: Project) -> None:
    """The objects of a CRD live as long as it does: so none may be deleted or replaced on the way."""
    born = {crd["metadata"]["name"]: crd["metadata"]["uid"] for crd in stranger.get("crd")}
    config = stranger.read_stack()
    stranger.write_stack({**config, "config": {**config["config"], "grove:adoptCrds": True}})
    stranger.pulumi("up", "--yes", "--skip-preview")
    stranger.pulumi("preview", "--expect-no-changes")
    stranger.write_stack(config)
    stranger.pulumi("up", "--yes", "--skip-preview")
    stranger.pulumi("preview", "--expect-no-changes")
    assert {crd["metadata"]["name"]: crd["metadata"]["uid"] for crd in stranger.get("crd")} == born
    assert len(stranger.get("pods", NAMESPACE)) == 4
