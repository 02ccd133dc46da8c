"""The h100 stack comes up on its fleet with the real engine, shows no change, is changed in every way, and goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fleets import domains, example_runs, exported, leaves_nothing, set_config
from tests.support.project import Project

pytestmark = pytest.mark.needs_tools
STACK = "h100"
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def test_an_image_without_a_digest_fails_the_preview_before_anything_else(project: Project) -> None:
    right = project.read_stack()["config"]["grove:operator"]
    set_config(project, operator={**right, "image": "ghcr.io/grove-py/grove-operator:0.1.0"})
    done = project.try_pulumi("preview")
    assert done.code != 0
    assert "set it to ghcr.io/grove-py/grove-operator@sha256:<64 hex digits>" in done.text
    assert "Traceback" not in done.text
    set_config(project, operator=right)


def test_it_comes_up_with_each_replica_inside_one_block(project: Project) -> None:
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
def test_an_example_runs_beside_it(project: Project, tmp_path: Path, example: str, pods: dict[str, int]) -> None:
    """Before anything else changes here: the pipeline's coder needs one of the two racks that are free whole."""
    assert example_runs(project, example, tmp_path) == pods


def test_what_is_rendered_is_what_was_applied(project: Project, tmp_path: Path) -> None:
    done = project.grove("render", "-s", STACK, "-o", str(tmp_path / "out"))
    assert done.code == 0, done.text
    state = exported(project)
    files = [path for path in (tmp_path / "out").rglob("*.yaml") if path.name != "kustomization.yaml"]
    assert len(files) == len(state)
    for path in files:
        rendered = yaml.load(path.read_text(), LOADER)
        metadata = rendered["metadata"]
        applied: Any = state[rendered["kind"], metadata.get("namespace", ""), metadata["name"]]
        assert without_bookkeeping(applied) == rendered


def test_drift_is_found_and_what_was_deleted_is_made_again(project: Project) -> None:
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


def test_an_immutable_change_is_refused_at_preview_or_replaces_where_the_stack_says_so(project: Project) -> None:
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


def test_a_failure_in_the_middle_is_resumed_from_where_it_stopped(project: Project) -> None:
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


def test_an_object_made_by_hand_is_imported_as_it_is(project: Project) -> None:
    project.kubectl("create", "namespace", "byhand")
    token, where = "kubernetes:core/v1:Namespace", "namespace-byhand"
    project.pulumi("import", token, where, "byhand", "--yes", "--protect=false", "--generate-code=false")
    assert ("Namespace", "", "byhand") in exported(project)


def test_it_goes_and_leaves_nothing(project: Project) -> None:
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert leaves_nothing(project, "llama", "small")


def without_bookkeeping(applied: dict[str, Any]) -> dict[str, Any]:
    """Inputs without the marks that the engine puts on secrets."""
    return {key: value for key, value in applied.items() if not key.startswith("__")}
