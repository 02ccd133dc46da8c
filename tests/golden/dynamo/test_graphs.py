"""What real-world graphs become, and that a fleet which fits them takes each whole."""

from __future__ import annotations

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


CLAIMS = "doesn't place by yet"
"""How our scheduler says that it leaves volume and resource claims to another one."""
WITH_CLAIMS = {
    "dsr1-trtllm-36gpu",
    "dsv32-trtllm-router",
    "example-trtllm-multinode-v1beta1",
    "glm5-sglang",
    "kimi-k3-vllm-v1beta1",
    "llama70b-vllm-disagg-nodes",
    "qwen32b-vllm-router",
}


@pytest.mark.parametrize("story", STORIES)
def test_a_graph_fits_whole_on_as_many_nodes_as_its_gpus_fill(story: str) -> None:
    """The fewest nodes of 8 GPUs that hold them, or of 4 where the recipe is for such: nothing is left over."""
    is_gb200 = "36gpu" in story or "kimi" in story or "v1beta1" in story or story.startswith(("glm", "dsv"))
    size = 4 if is_gb200 else 8
    nodes = [node(f"n{i}", size) for i in range(-(-GPUS[story] // size))]
    result = simulate([*nodes, podcliqueset(story)])
    assert result.verdicts
    refused = [reason for v in result.verdicts if not v.is_placed for reason in v.reasons]
    if refused and story in WITH_CLAIMS:
        assert any(CLAIMS in reason["message"] for reason in refused)
    else:
        assert refused == []
        assert all(pod.node for v in result.verdicts for pod in v.pods)
    used = sum(_gpus(clique) * count for clique, count in _pods(podcliqueset(story)))
    assert used == GPUS[story]


def test_a_file_of_several_documents_has_one_graph() -> None:
    assert graph("example-trtllm-multinode-v1beta1")["metadata"]["name"] == "trtllm-disagg-tp8"


def _pods(pcs: Json) -> list[tuple[Json, int]]:
    template = pcs["spec"]["template"]
    times = {name: g["replicas"] for g in template.get("podCliqueScalingGroups", []) for name in g["cliqueNames"]}
    return [(c, c["spec"]["replicas"] * times.get(c["name"], 1)) for c in template["cliques"]]


def _gpus(clique: Json) -> int:
    limits = [(c.get("resources") or {}).get("limits") or {} for c in clique["spec"]["podSpec"]["containers"]]
    return sum(int(limit.get("nvidia.com/gpu", 0)) for limit in limits)
