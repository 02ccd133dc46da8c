"""What a planner reads of a worker in the graph's status."""

from __future__ import annotations

import pytest

from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import Graph
from grove_operator.dynamo.planned import planned
from tests.golden.dynamo import story
from tests.unit.dynamo.test_surroundings import beta, component

MODELS = [
    (["python3", "-m", "dynamo.vllm"], ["--model", "Qwen/Qwen3-0.6B"], "Qwen/Qwen3-0.6B"),
    (["python3", "-m", "dynamo.vllm"], ["--model=a", "--served-model-name=b", "c"], "b"),
    (["bash", "-c"], ["python3 -m dynamo.sglang --model-path /m --served-model-name 'x y'"], "x y"),
    (["bash", "-c"], ["it's not closed --model m"], "m"),
    (["python3", "-m", "dynamo.vllm"], ["--model"], ""),
]


def only(dgd: Json) -> Json:
    (found,) = Graph(dgd).components
    return planned(found)


@pytest.mark.parametrize(("command", "args", "model"), MODELS)
def test_the_served_model_is_what_the_command_names(command: list[str], args: list[str], model: str) -> None:
    main = {"name": "main", "image": "i", "command": command, "args": args}
    assert only(beta(component("A", "decode", main))).get("servedModelName", "") == model


@pytest.mark.parametrize(("kind", "name"), [("prefill", "prefill"), ("decode", "backend"), ("worker", "backend")])
def test_workers_register_as_their_role_has_it(kind: str, name: str) -> None:
    main = {"name": "main", "image": "i"}
    assert only(beta(component("A", kind, main)))["runtimeComponentName"] == name
    assert only(beta(component("A", "frontend", main))) == {}


def test_an_engine_has_the_gpus_of_all_its_nodes_and_a_replica_its_sidecars_too() -> None:
    main = {"name": "main", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "4"}}}
    side = {"name": "side", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    said = only(beta(component("A", "worker", main, side, multinode={"nodeCount": 3})))
    assert (said["gpusPerEngine"], said["gpusPerReplica"]) == (12, 15)


def test_a_subtype_of_the_older_version_counts_as_the_role_that_it_is() -> None:
    roles = {
        c.name: planned(c).get("runtimeComponentName") for c in Graph(story.graph("example-vllm-planner")).components
    }
    assert roles == {"Frontend": None, "Planner": None, "VllmDecodeWorker": "backend", "VllmPrefillWorker": "prefill"}
