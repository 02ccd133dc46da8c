"""The environments beside the local one: each comes up on its fleet with the real engine, shows no change, and goes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fleets import example_on, exported, set_config, stack_on_its_fleet
from tests.support.project import Project

pytestmark = pytest.mark.needs_tools
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(scope="class")
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    stack = request.cls.stack
    with stack_on_its_fleet(stack, tmp_path_factory.mktemp(stack), tmp_path_factory.mktemp("home")) as project:
        yield project


def domains(project: Project, namespace: str, key: str, selector: str = "") -> list[str]:
    """The value of a node label for each pod of a namespace, sorted."""
    labels = {n["metadata"]["name"]: n["metadata"]["labels"] for n in project.get("nodes")}
    pods = project.select("pods", namespace, selector) if selector else project.get("pods", namespace)
    assert pods
    return sorted(labels[pod["spec"]["nodeName"]].get(key, "") for pod in pods)


def example_runs(project: Project, name: str, folder: Path) -> dict[str, int]:
    """Brings an example up and takes it down again; returns how many pods each role had."""
    example = example_on(project, name, folder)
    example.pulumi("up", "--yes", "--skip-preview")
    example.pulumi("preview", "--expect-no-changes")
    pods = project.get("pods", "default")
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    example.pulumi("destroy", "--yes", "--skip-preview")
    return dict(Counter(pod["metadata"]["labels"]["grove.io/podclique"].rsplit("-", 1)[1] for pod in pods))


def leaves_nothing(project: Project, *namespaces: str) -> bool:
    left = {n["metadata"]["name"] for n in project.get("ns")} & {*namespaces, "grove-system"}
    return not left and not [crd for crd in project.get("crd") if "grove.io" in crd["metadata"]["name"]]


class TestH100:
    stack = "h100"

    def test_an_image_without_a_digest_fails_the_preview_before_anything_else(self, project: Project) -> None:
        right = project.read_stack()["config"]["grove:operator"]
        set_config(project, operator={**right, "image": "ghcr.io/grove-py/grove-operator:0.1.0"})
        done = project.try_pulumi("preview")
        assert done.code != 0
        assert "set it to ghcr.io/grove-py/grove-operator@sha256:<64 hex digits>" in done.text
        assert "Traceback" not in done.text
        set_config(project, operator=right)

    def test_it_comes_up_with_each_replica_inside_one_block(self, project: Project) -> None:
        project.pulumi("up", "--yes", "--skip-preview")
        project.pulumi("preview", "--expect-no-changes")
        for replica in (0, 1):
            selector = f"grove.io/podcliqueset-replica-index={replica}"
            assert len(set(domains(project, "llama", "topology.kubernetes.io/block", selector))) == 1
        told = ("--for=condition=NodesCovered=False", "clustertopologybinding/default", "--timeout=30s")
        project.kubectl("wait", *told)
        (covered,) = project.get("clustertopologybinding", name="default")["status"]["conditions"]
        assert covered["message"].startswith("of 18 nodes: zone 18 in 1 domain, block 16 in 2 domains, rack 16 in 4")

    @pytest.mark.parametrize(
        ("example", "pods"),
        [
            ("aggregated", {"frontend": 1, "worker": 2}),
            ("disaggregated", {"frontend": 1, "prefill": 1, "decode": 2}),
            ("agentic-pipeline", {"planner": 1, "leader": 1, "worker": 3, "critic": 2, "frontend": 1}),
        ],
    )
    def test_an_example_runs_beside_it(
        self, project: Project, tmp_path: Path, example: str, pods: dict[str, int]
    ) -> None:
        """Before anything else changes here: the pipeline's coder needs one of the two racks that are free whole."""
        assert example_runs(project, example, tmp_path) == pods

    def test_what_is_rendered_is_what_was_applied(self, project: Project, tmp_path: Path) -> None:
        done = project.grove("render", "-s", self.stack, "-o", str(tmp_path / "out"))
        assert done.code == 0, done.text
        state = exported(project)
        files = [path for path in (tmp_path / "out").rglob("*.yaml") if path.name != "kustomization.yaml"]
        assert len(files) == len(state)
        for path in files:
            rendered = yaml.load(path.read_text(), LOADER)
            metadata = rendered["metadata"]
            applied: Any = state[rendered["kind"], metadata.get("namespace", ""), metadata["name"]]
            assert without_bookkeeping(applied) == rendered

    def test_drift_is_found_and_what_was_deleted_is_made_again(self, project: Project) -> None:
        """A field that somebody else took over is theirs until they let go: the error says so, nothing is forced."""
        edit = ("patch", "pcs", "llama-70b", "-n", "llama", "--type=merge", "-p")
        project.kubectl(*edit, '{"spec":{"replicas":1}}')
        refused = project.try_pulumi("up", "--yes", "--skip-preview", "--refresh")
        assert refused.code != 0
        assert 'conflict with "kubectl-patch"' in refused.text
        assert ".spec.replicas; another manager owns these fields" in refused.text
        project.kubectl("delete", "pcs", "llama-70b", "-n", "llama")
        project.pulumi("up", "--yes", "--skip-preview", "--refresh")
        assert project.get("pcs", "llama", "llama-70b")["spec"]["replicas"] == 2
        project.pulumi("preview", "--refresh", "--expect-no-changes")

    def test_an_immutable_change_is_refused_at_preview_or_replaces_where_the_stack_says_so(
        self, project: Project
    ) -> None:
        (workload,) = project.read_stack()["config"]["grove:workloads"]
        born = project.get("pcs", "llama", "llama-70b")["metadata"]["uid"]
        roles = workload["roles"]
        changed = {**workload, "roles": {**roles, "decode": {**roles["decode"], "minAvailable": 1}}}
        set_config(project, workloads=[changed])
        refused = project.try_pulumi("preview")
        set_config(project, workloads=[workload])
        assert refused.code != 0
        assert "cliques[2].spec.minAvailable: cannot be changed" in refused.text
        set_config(project, workloads=[{**workload, "onImmutableChange": "replace"}])
        project.pulumi("up", "--yes", "--skip-preview")
        set_config(project, workloads=[{**changed, "onImmutableChange": "replace"}])
        assert "1 to replace" in project.pulumi("preview")
        project.pulumi("up", "--yes", "--skip-preview")
        assert project.get("pcs", "llama", "llama-70b")["metadata"]["uid"] != born

    def test_a_failure_in_the_middle_is_resumed_from_where_it_stopped(self, project: Project) -> None:
        workloads = project.read_stack()["config"]["grove:workloads"]
        roles = {"worker": {"image": "i:1", "gpus": 4}}
        small = {"name": "small", "namespace": "small", "shape": "aggregated", "roles": roles}
        set_config(project, workloads=[*workloads, {**small, "replicas": 30, "timeout": "8s"}])
        done = project.try_pulumi("up", "--yes", "--skip-preview")
        assert done.code != 0
        assert "availableReplicas" in done.text
        born = project.get("pcs", "small", "small")["metadata"]["uid"]
        set_config(project, workloads=[*workloads, small])
        project.pulumi("up", "--yes", "--skip-preview")
        assert project.get("pcs", "small", "small")["metadata"]["uid"] == born

    def test_an_object_made_by_hand_is_imported_as_it_is(self, project: Project) -> None:
        project.kubectl("create", "namespace", "byhand")
        token, where = "kubernetes:core/v1:Namespace", "namespace-byhand"
        project.pulumi("import", token, where, "byhand", "--yes", "--protect=false", "--generate-code=false")
        assert ("Namespace", "", "byhand") in exported(project)

    def test_it_goes_and_leaves_nothing(self, project: Project) -> None:
        project.pulumi("destroy", "--yes", "--skip-preview")
        assert leaves_nothing(project, "llama", "small")


class TestGb200:
    stack = "gb200-nvl72"

    def test_every_instance_sits_whole_in_one_nvlink_domain(self, project: Project) -> None:
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

    def test_the_leader_worker_example_runs_beside_it(self, project: Project, tmp_path: Path) -> None:
        assert example_runs(project, "leader-worker", tmp_path) == {"frontend": 1, "leader": 2, "worker": 14}

    def test_it_goes_and_leaves_nothing(self, project: Project) -> None:
        project.pulumi("destroy", "--yes", "--skip-preview")
        assert leaves_nothing(project, "deepseek")


@pytest.fixture(scope="class")
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


class TestMultiTenantInTwoStacks:
    stack = "multi-tenant"

    def test_workloads_without_their_platform_are_one_clear_error(self, parts: tuple[Project, Project]) -> None:
        done = parts[1].try_pulumi("preview")
        assert done.code != 0
        assert "organization/grove/platform" in done.text

    def test_both_come_up_and_show_no_change(self, parts: tuple[Project, Project]) -> None:
        for part in parts:
            part.pulumi("up", "--yes", "--skip-preview")
            part.pulumi("preview", "--expect-no-changes")
        quota = parts[0].get("resourcequota", "team-search", "tenant")
        assert quota["status"]["used"]["requests.nvidia.com/gpu"] == "16"
        for index in (0, 1):
            selector = f"grove.io/podcliquescalinggroup-replica-index={index}"
            assert len(set(domains(parts[0], "team-search", "topology.kubernetes.io/rack", selector))) == 1

    def test_the_operator_is_not_deleted_from_under_the_workloads(self, parts: tuple[Project, Project]) -> None:
        for what in ("deployment/grove-operator", "namespace/grove-system"):
            with pytest.raises(AssertionError, match="2 PodCliqueSets: team-agents/helpdesk, team-search/ranker;"):
                parts[0].kubectl("delete", what, "-n", "grove-system", "--wait=false")
        assert len(parts[0].select("pods", "grove-system", "app.kubernetes.io/name=grove-operator")) == 1

    def test_a_level_that_the_platform_doesnt_have_is_refused_before_anything_changes(
        self, parts: tuple[Project, Project]
    ) -> None:
        workloads = parts[1].read_stack()["config"]["grove:workloads"]
        wrong = [workloads[0], {**workloads[1], "name": "other", "placement": {"preferred": "row"}}]
        set_config(parts[1], workloads=wrong)
        done = parts[1].try_pulumi("preview")
        set_config(parts[1], workloads=workloads)
        assert done.code != 0
        assert "grove:workloads[1] other" in done.text
        assert "'row' does not exist" in done.text

    def test_they_go_one_after_the_other_and_leave_nothing(self, parts: tuple[Project, Project]) -> None:
        for part in parts[::-1]:
            part.pulumi("destroy", "--yes", "--skip-preview")
        assert leaves_nothing(parts[0], "team-search", "team-agents")


def without_bookkeeping(applied: dict[str, Any]) -> dict[str, Any]:
    """Inputs without the marks that the engine puts on secrets."""
    return {key: value for key, value in applied.items() if not key.startswith("__")}
