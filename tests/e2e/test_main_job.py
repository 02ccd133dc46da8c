"""The main job on a real control plane with the real Pulumi engine: the README's promise, claim by claim.

One story in order, on one cluster: up -> look -> preview is empty -> scale by one line -> destroy.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from grove_operator.localcluster.checker import check_nodes
from tests.support.clusters import LocalCluster
from tests.support.project import Project

pytestmark = pytest.mark.needs_tools
NAMESPACE = "vllm-v1-disagg-router"


@pytest.fixture(scope="module")
def project(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the repository's stack, brought up once for the story."""
    project = Project.copy_to(tmp_path_factory.mktemp("project"), cluster.home, cluster.kubeconfig)
    project.pulumi("up", "--yes", "--skip-preview")
    return project


def names(objects: list[Any]) -> list[str]:
    return [o["metadata"]["name"] for o in objects]


def is_ready(pod: Any) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return pod["status"]["phase"] == "Running" and conditions.get("Ready") == "True"


def test_the_quickstart_runs_as_the_article_shows(project: Project) -> None:
    pods = project.get("pods", NAMESPACE)
    roles = sorted(name.rsplit("-", 1)[0] for name in names(pods))
    assert roles == [
        "dynamo-grove-0-frontend",
        "dynamo-grove-0-vllmdecodeworker",
        "dynamo-grove-0-vllmdecodeworker",
        "dynamo-grove-0-vllmprefillworker",
    ]
    assert all(len(name.rsplit("-", 1)[1]) == 5 for name in names(pods))
    assert all(is_ready(pod) for pod in pods)


def test_the_crds_of_the_article_are_listed(project: Project) -> None:
    crds = set(names(project.get("crd")))
    assert {
        "podcliques.grove.io",
        "podcliquescalinggroups.grove.io",
        "podcliquesets.grove.io",
        "podgangsets.grove.io",
        "podgangs.scheduler.grove.io",
    } <= crds


def test_the_decode_clique_has_its_status_filled(project: Project) -> None:
    clique = project.get("podclique", NAMESPACE, "dynamo-grove-0-vllmdecodeworker")
    status = clique["status"]
    assert (status["replicas"], status["readyReplicas"], status["scheduledReplicas"]) == (2, 2, 2)
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions == {"PodCliqueScheduled": "True", "MinAvailableBreached": "False"}
    assert status["observedGeneration"] == clique["metadata"]["generation"]


def test_the_frontend_service_listens_on_8000(project: Project) -> None:
    service = project.get("service", NAMESPACE, "dynamo-grove-frontend")
    assert [port["port"] for port in service["spec"]["ports"]] == [8000]


def test_the_secret_holds_the_token_from_the_stack_config(project: Project) -> None:
    secret = project.get("secret", NAMESPACE, "hf-token-secret")
    assert secret["data"]["HF_TOKEN"]


def test_all_pods_share_one_rack_though_hosts_are_partly_used(project: Project) -> None:
    nodes = {n["metadata"]["name"]: n["metadata"]["labels"] for n in project.get("nodes")}
    gpu_pods = [p for p in project.get("pods", NAMESPACE) if "frontend" not in p["metadata"]["name"]]
    racks = {
        tuple(nodes[p["spec"]["nodeName"]].get(f"topology.kubernetes.io/{level}") for level in ("block", "rack"))
        for p in project.get("pods", NAMESPACE)
    }
    assert len(gpu_pods) == 3
    assert len(racks) == 1


def test_no_node_is_over_its_allocatable(project: Project) -> None:
    assert check_nodes(project.get("nodes"), project.get("pods")) == []


def test_the_gang_is_scheduled_with_a_score(project: Project) -> None:
    gang = project.get("podgang", NAMESPACE, "dynamo-grove-0")
    conditions = {c["type"]: c["status"] for c in gang["status"]["conditions"]}
    assert conditions["Initialized"] == "True"
    assert conditions["Scheduled"] == "True"
    assert gang["status"]["placementScore"] == pytest.approx(1.0)


def test_a_preview_afterwards_shows_no_change(project: Project) -> None:
    digest = json.loads(project.pulumi("preview", "--json"))
    assert set(digest["changeSummary"]) == {"same"}
    project.pulumi("preview", "--expect-no-changes")


def test_four_decode_workers_come_by_one_line_and_replace_nobody(project: Project) -> None:
    before = {p["metadata"]["uid"] for p in project.get("pods", NAMESPACE)}
    project.set_replicas("VllmDecodeWorker", 4)
    project.pulumi("up", "--yes")
    pods = project.get("pods", NAMESPACE)
    decode = [p for p in pods if "vllmdecodeworker" in p["metadata"]["name"]]
    assert len(decode) == 4
    assert all(is_ready(pod) for pod in pods)
    assert before <= {p["metadata"]["uid"] for p in pods}
    assert check_nodes(project.get("nodes"), project.get("pods")) == []


def test_destroy_removes_every_workload_object_and_the_crds_that_the_local_stack_gives_up(project: Project) -> None:
    project.pulumi("destroy", "--yes")
    assert [n for n in names(project.get("ns")) if n in (NAMESPACE, "grove-system")] == []
    assert [n for n in names(project.get("crd")) if "grove" in n or "nvidia" in n] == []
    assert project.labelled("app.kubernetes.io/managed-by=grove-operator") == []
