"""What real-world graphs become, and that a fleet which fits them takes each whole."""

from __future__ import annotations

import copy

import pytest

from grove_operator.api.kinds import Json
from grove_operator.api.validation import validate_podcliqueset
from grove_operator.engine.whatif.simulation import simulate
from tests.golden.dynamo.story import FILES, STORIES, graph, podcliqueset, render

GPUS = {
    "dsr1-sglang-16gpu": 16,
    "dsr1-sglang-32gpu": 32,
    "dsr1-trtllm-36gpu": 36,
    "dsr1-vllm-dp16": 32,
    "dsv32-trtllm-router": 32,
    "dsv4-vllm-agg": 8,
    "example-sglang-multinode-v1beta1": 16,
    "example-trtllm-multinode-v1beta1": 16,
    "example-vllm-multinode": 4,
    "example-vllm-planner": 2,
    "glm5-sglang": 20,
    "gpt-oss-trtllm-agg": 4,
    "gpt-oss-trtllm-disagg": 5,
    "kimi-k25-trtllm-eagle": 24,
    "kimi-k3-vllm-v1beta1": 32,
    "llama70b-vllm-agg": 4,
    "llama70b-vllm-disagg-nodes": 16,
    "llama70b-vllm-disagg-one-node": 8,
    "llama70b-vllm-gateway": 4,
    "qwen235b-trtllm-agg": 16,
    "qwen235b-trtllm-disagg": 16,
    "qwen32b-trtllm-agg": 2,
    "qwen32b-trtllm-disagg": 8,
    "qwen32b-vllm-router": 16,
}
"""As the recipes count them."""


def node(name: str, gpus: int) -> Json:
    """One GPU node with RDMA devices."""
    amounts = {"cpu": "128", "memory": "4Ti", "pods": "110", "nvidia.com/gpu": str(gpus), "rdma/ib": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def test_every_story_has_its_gpus_and_every_count_its_story() -> None:
    assert set(STORIES) == set(GPUS)
    assert len(STORIES) >= 20


@pytest.mark.parametrize("story", STORIES)
def test_a_graph_becomes_exactly_the_recorded_podcliqueset(story: str) -> None:
    recorded = (FILES / f"{story}.yaml").read_text()
    assert render(story) == recorded, "read the difference, then: python -m tests.golden.dynamo.story"


@pytest.mark.parametrize("story", STORIES)
def test_groves_own_admission_takes_what_a_graph_becomes(story: str) -> None:
    assert validate_podcliqueset(podcliqueset(story)) == []


WITH_RESOURCE_CLAIMS = {"dsr1-trtllm-36gpu", "dsv32-trtllm-router", "glm5-sglang", "kimi-k3-vllm-v1beta1"}
"""NVLink channels by ResourceClaims, which our scheduler leaves to kube-scheduler's allocator and says so."""


def fleet(story: str) -> list[Json]:
    """The fewest nodes of 8 GPUs that hold them, or of 4 where the recipe is for such: nothing is left over."""
    is_gb200 = "36gpu" in story or "kimi" in story or "v1beta1" in story or story.startswith(("glm", "dsv"))
    size = 4 if is_gb200 else 8
    return [node(f"n{i}", size) for i in range(-(-GPUS[story] // size))]


def bound_claims(pcs: Json) -> list[Json]:
    """The volumes that the recipes presuppose: each claim bound to one that every node can mount."""
    pods = [clique["spec"]["podSpec"] for clique in pcs["spec"]["template"]["cliques"]]
    named = {v["persistentVolumeClaim"]["claimName"] for p in pods for v in p.get("volumes", ()) if is_claim(v)}
    out: list[Json] = []
    for name in sorted(named):
        modes: Json = {"accessModes": ["ReadWriteMany"]}
        meta = {"name": name, "namespace": pcs["metadata"]["namespace"]}
        claim = {"metadata": meta, "spec": {**modes, "volumeName": f"pv-{name}"}, "status": {"phase": "Bound"}}
        volume = {"metadata": {"name": f"pv-{name}"}, "spec": {**modes, "claimRef": meta}}
        out.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})
        out.append({"apiVersion": "v1", "kind": "PersistentVolume", **volume})
    return out


def is_claim(volume: Json) -> bool:
    return "persistentVolumeClaim" in volume


def without_resource_claims(pcs: Json) -> Json:
    kept = copy.deepcopy(pcs)
    for clique in kept["spec"]["template"]["cliques"]:
        pod = clique["spec"]["podSpec"]
        pod.pop("resourceClaims", None)
        for container in pod["containers"]:
            container.get("resources", {}).pop("claims", None)
    return kept


@pytest.mark.parametrize("story", STORIES)
def test_a_graph_fits_whole_on_as_many_nodes_as_its_gpus_fill(story: str) -> None:
    pcs = podcliqueset(story)
    result = simulate([*fleet(story), *bound_claims(pcs), without_resource_claims(pcs)])
    assert result.verdicts
    assert [reason["message"] for v in result.verdicts if not v.is_placed for reason in v.reasons] == []
    assert all(pod.node for v in result.verdicts for pod in v.pods)
    used = sum(_gpus(clique) * count for clique, count in _pods(pcs))
    assert used == GPUS[story]


@pytest.mark.parametrize("story", STORIES)
def test_resource_claims_are_all_that_the_scheduler_refuses(story: str) -> None:
    pcs = podcliqueset(story)
    result = simulate([*fleet(story), *bound_claims(pcs), pcs])
    refused = [reason["message"] for v in result.verdicts if not v.is_placed for reason in v.reasons]
    if story not in WITH_RESOURCE_CLAIMS:
        assert refused == []
        return
    first = [message for message in refused if "waits for its base podgang" not in message]
    assert first
    assert all("uses resourceClaims, which this scheduler doesn't place by yet" in message for message in first)


def test_a_file_of_several_documents_has_one_graph() -> None:
    assert graph("example-trtllm-multinode-v1beta1")["metadata"]["name"] == "trtllm-disagg-tp8"


def _pods(pcs: Json) -> list[tuple[Json, int]]:
    template = pcs["spec"]["template"]
    times = {name: g["replicas"] for g in template.get("podCliqueScalingGroups", []) for name in g["cliqueNames"]}
    return [(c, c["spec"]["replicas"] * times.get(c["name"], 1)) for c in template["cliques"]]


def _gpus(clique: Json) -> int:
    limits = [(c.get("resources") or {}).get("limits") or {} for c in clique["spec"]["podSpec"]["containers"]]
    return sum(int(limit.get("nvidia.com/gpu", 0)) for limit in limits)
