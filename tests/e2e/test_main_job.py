"""The main job on a real control plane with the real Pulumi engine: the README's promise, claim by claim.

One story in order, on one cluster: up -> look -> preview is empty -> scale by one line -> destroy.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from tests.support.clusters import LocalCluster
from tests.support.project import ROOT, Project
from tests.support.waiting import wait_for

pytestmark = pytest.mark.needs_tools
NAMESPACE = "vllm-v1-disagg-router"
CANARY = "hf_canary-of-the-main-job"


@pytest.fixture(scope="module")
def project(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the repository's stack, brought up once for the story."""
    project = Project.copy_to(tmp_path_factory.mktemp("project"), cluster.home, cluster.kubeconfig)
    project.pulumi("config", "set", "--secret", "hfToken", CANARY)
    assert not tells(project.pulumi("up", "--yes", "--skip-preview", "--diff"))
    return project


def tells(text: str) -> bool:
    """Whether the token can be read from it."""
    return CANARY in text or base64.b64encode(CANARY.encode()).decode() in text


def names(objects: list[Any]) -> list[str]:
    return [o["metadata"]["name"] for o in objects]


def is_ready(pod: Any) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return pod["status"]["phase"] == "Running" and conditions.get("Ready") == "True"


def racks_of(project: Project, selector: str) -> set[tuple[str, str]]:
    """(block, rack) of every node that runs a selected pod of the default namespace."""
    nodes = {n["metadata"]["name"]: n["metadata"]["labels"] for n in project.get("nodes")}
    places = [nodes[pod["spec"]["nodeName"]] for pod in project.select("pods", "default", selector)]
    return {(at["topology.kubernetes.io/block"], at["topology.kubernetes.io/rack"]) for at in places}


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
    assert conditions == {"PodCliqueScheduled": "True", "MinAvailableBreached": "False", "EverScheduled": "True"}
    assert status["observedGeneration"] == clique["metadata"]["generation"]


def test_the_frontend_service_listens_on_8000(project: Project) -> None:
    service = project.get("service", NAMESPACE, "dynamo-grove-frontend")
    assert [port["port"] for port in service["spec"]["ports"]] == [8000]


def test_the_secret_holds_the_token_from_the_stack_config(project: Project) -> None:
    secret = project.get("secret", NAMESPACE, "hf-token-secret")
    assert base64.b64decode(secret["data"]["HF_TOKEN"]).decode() == CANARY


def test_the_token_is_nowhere_but_in_the_cluster(project: Project) -> None:
    """Neither in a preview, nor in state, logs or any other file: etcd alone has it."""
    assert not tells(project.pulumi("preview", "--diff"))
    files = [path for top in (project.folder, project.home) for path in top.rglob("*") if path.is_file()]
    searched = [path for path in files if "etcd" not in path.parts]
    assert [path for path in searched if tells(path.read_text(errors="replace"))] == []
    assert any(path.parent.name == "logs" for path in searched)
    assert any(path.parent.name == "grove" and path.name.startswith("local.") for path in searched), "the state"


def test_all_pods_share_one_rack_though_hosts_are_partly_used(project: Project) -> None:
    nodes = {n["metadata"]["name"]: n["metadata"]["labels"] for n in project.get("nodes")}
    gpu_pods = [p for p in project.get("pods", NAMESPACE) if "frontend" not in p["metadata"]["name"]]
    racks = {
        tuple(nodes[p["spec"]["nodeName"]].get(f"topology.kubernetes.io/{level}") for level in ("block", "rack"))
        for p in project.get("pods", NAMESPACE)
    }
    assert len(gpu_pods) == 3
    assert len(racks) == 1


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


def test_graphs_are_stored_as_v1beta1_and_pulumi_leaves_that_to_the_operator(project: Project) -> None:
    """After a refresh, too, when the state has what the operator wrote into the CRDs."""
    for name in ("dynamographdeployments", "dynamographdeploymentscalingadapters"):
        moved = "jsonpath={.status.storedVersions[*]}=v1beta1"
        project.kubectl("wait", f"crd/{name}.nvidia.com", f"--for={moved}", "--timeout=60s")
    project.pulumi("preview", "--refresh", "--expect-no-changes")


@pytest.fixture(scope="module")
def foretold(project: Project) -> Any:
    """What `grove simulate` says of the second workload on a snapshot taken before it comes."""
    manifest, dump = str(ROOT / "examples" / "manifests" / "leader-worker.yaml"), str(project.folder / "now.yaml")
    assert project.grove("snapshot", "-o", dump).code == 0
    done = project.grove("simulate", "-f", manifest, "--cluster", dump, "-o", "json")
    assert done.code == 3, done.text
    return json.loads(done.stdout)


def test_a_snapshot_holds_no_secret_and_tells_that_the_quickstart_runs(project: Project, foretold: Any) -> None:
    dump = (project.folder / "now.yaml").read_text()
    assert "kind: Secret" not in dump
    assert "DYN_ROUTER_MODE" not in dump
    assert "last-applied-configuration" not in dump
    assert {entry["gang"] for entry in foretold["placements"]} == {"served-0"}
    done = project.grove("explain", "podgang", "dynamo-grove-0", "-n", NAMESPACE)
    assert (done.code, "nothing stands in its way" in done.text) == (0, True)


def test_a_second_workload_gets_one_instance_and_the_other_waits_whole_and_says_why(project: Project) -> None:
    """Two instances of leader + 3 workers, each in one rack: with the quickstart in b0-r0 only b1-r0 holds one."""
    project.kubectl("apply", "--server-side", "-f", str(ROOT / "examples" / "manifests" / "leader-worker.yaml"))
    for pod in ("served-0-router", "served-0-model-0-leader", "served-0-model-0-worker"):
        project.kubectl("wait", "--for=create", "pod", "-l", f"grove.io/podclique={pod}", "--timeout=30s")
        project.kubectl("wait", "--for=condition=Ready", "pod", "-l", f"grove.io/podclique={pod}", "--timeout=60s")
    assert len(racks_of(project, "grove.io/podcliquescalinggroup-replica-index=0")) == 1

    project.kubectl("wait", "--for=condition=Scheduled=False", "podgang/served-0-model-0", "--timeout=60s")
    # The gang, its pods and the events are written side by side: the gang's condition doesn't say that all are.
    wait_for(lambda: len(refused_pods(project)) == 4, "every pod of the waiting instance is told why")
    wait_for(lambda: len(refusal_events(project)) >= 5, "an Event for the gang and one for each pod")
    waiting, events = refused_pods(project), refusal_events(project)
    assert not any(pod["spec"].get("nodeName") for pod in waiting)
    assert all("nvidia.com/gpu" in scheduled_condition(pod)["message"] for pod in waiting)
    assert {e["involvedObject"]["name"] for e in events} == {"served-0-model-0", *names(waiting)}
    assert {e["source"]["component"] for e in events} == {"grove-scheduler"}


def scheduled_condition(pod: Any) -> Any:
    return next((c for c in pod["status"].get("conditions", ()) if c["type"] == "PodScheduled"), {})


def refused_pods(project: Project) -> list[Any]:
    """Of the instance that waits, those that say so."""
    found = project.select("pods", "default", "grove.io/podgang=served-0-model-0")
    refused = ("False", "Unschedulable")
    return [pod for pod in found if (c := scheduled_condition(pod)) and (c["status"], c.get("reason")) == refused]


def refusal_events(project: Project) -> list[Any]:
    return [e for e in project.get("events", "default") if e["reason"] == "Unschedulable"]


def test_the_simulation_before_it_came_foretold_where_it_is_and_why_the_rest_waits(
    project: Project, foretold: Any
) -> None:
    pods = project.select("pods", "default", "grove.io/podgang=served-0")
    found = {pod["spec"]["hostname"]: pod["spec"]["nodeName"] for pod in pods}
    assert {pod["name"]: pod["node"] for entry in foretold["placements"] for pod in entry["pods"]} == found
    (unplaced,) = foretold["unplaced"]
    assert unplaced["gang"] == "served-0-model-0"
    said = project.get("podgang", "default", "served-0-model-0")["status"]["conditions"]
    refusals = [c["message"].partition("; to unblock: ")[0] for c in said if c["type"] == "Scheduled"]
    assert refusals == [r["message"] for r in unplaced["reasons"]]


def test_explain_names_who_holds_the_gpus_that_the_waiting_instance_lacks(project: Project) -> None:
    done = project.grove("explain", "podgang", "served-0-model-0", "-o", "json")
    assert done.code == 3, done.text
    said = json.loads(done.stdout)
    assert any(holder["key"].startswith("fleet-load/") for scope in said["scopes"] for holder in scope["holders"])
    assert {way["action"] for way in said["waysOut"]} >= {"free", "evict"}


def test_nothing_is_written_at_rest(project: Project) -> None:
    for kind in ("podcliqueset", "podcliquescalinggroup", "podclique"):  # their statuses follow the pods
        project.kubectl("wait", "--for=jsonpath={.status.observedGeneration}", kind, "--all", "--timeout=30s")
    before = project.writes()
    time.sleep(10)
    after = project.writes()
    assert {what: after[what] - before.get(what, 0) for what in after if after[what] != before.get(what, 0)} == {}


def test_the_waiting_instance_is_placed_whole_when_a_rack_is_freed(project: Project) -> None:
    project.kubectl("delete", "pod", "--all", "-n", "fleet-load", "--wait=false")
    project.kubectl("wait", "--for=condition=Scheduled", "podgang/served-0-model-0", "--timeout=60s")
    assert len(racks_of(project, "grove.io/podgang=served-0-model-0")) == 1
    project.kubectl("delete", "podcliqueset", "served", "--timeout=60s")
    project.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/part-of=served", "--timeout=60s")


def test_four_decode_workers_come_by_one_line_and_replace_nobody(project: Project) -> None:
    before = {p["metadata"]["uid"] for p in project.get("pods", NAMESPACE)}
    project.set_replicas("VllmDecodeWorker", 4)
    project.pulumi("up", "--yes")
    pods = project.get("pods", NAMESPACE)
    decode = [p for p in pods if "vllmdecodeworker" in p["metadata"]["name"]]
    assert len(decode) == 4
    assert all(is_ready(pod) for pod in pods)
    assert before <= {p["metadata"]["uid"] for p in pods}


def test_destroy_removes_every_workload_object_and_the_crds_that_the_local_stack_gives_up(project: Project) -> None:
    project.pulumi("destroy", "--yes")
    assert [n for n in names(project.get("ns")) if n in (NAMESPACE, "grove-system")] == []
    assert [n for n in names(project.get("crd")) if "grove" in n or "nvidia" in n] == []
    assert project.labelled("app.kubernetes.io/managed-by=grove-operator") == []
