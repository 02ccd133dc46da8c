"""Real Dynamo on the local cluster: its own frontend, router and mockers answer; what is done to them shows outside.

One story on one cluster, in order. Skipped where Dynamo's processes aren't installed (`grove tools dynamo`).
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from grove_operator.api.kinds import DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER, Json
from grove_operator.localcluster import dynamo_runtime, planner_runtime
from tests.support.deployed import until
from tests.support.operated import Operated, is_ready
from tests.support.serving import (
    HERE,
    MODEL,
    PATIENCE_S,
    ROOT,
    ask,
    cluster,
    frontend,
    listed,
    logs,
    pods,
    process_of,
    serving_cluster,
)
from tests.support.timeline import timeline
from tests.support.traffic import Traffic

pytestmark = [
    pytest.mark.needs_tools,
    pytest.mark.skipif(not dynamo_runtime.is_installed(), reason="Dynamo isn't installed; grove tools dynamo"),
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Operator, scheduler, NATS and the article's graph, unchanged."""
    with serving_cluster(tmp_path_factory.mktemp("serving")) as made:
        yield made


async def test_the_model_is_listed_and_tokens_stream_through_the_kv_router(serving: Operated) -> None:
    async with cluster(serving) as api:
        url = await frontend(api)
        await listed(url, [MODEL])
        assert len(await ask(url, "What runs in a gang?")) == 8
        said = await logs(serving, "-l", "nvidia.com/dynamo-component=Frontend", "--tail=-1")
    chosen = [line for line in said.splitlines() if "Selected worker" in line and 'router_mode="kv"' in line]
    assert any("worker_type=prefill" in line for line in chosen)
    assert any("worker_type=decode" in line for line in chosen)


async def test_kubectl_port_forward_leads_to_the_frontend(serving: Operated) -> None:
    asked = [sys.executable, "examples/ask.py", "--kubeconfig", str(serving.kubeconfig), "--namespace", HERE]
    process = await asyncio.create_subprocess_exec(*asked, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert f"/v1/models lists {MODEL}" in said.decode()
    assert "(24 pieces streamed)" in said.decode()


async def test_a_killed_prefill_worker_takes_the_model_away_until_it_is_back(serving: Operated) -> None:
    async with cluster(serving) as api:
        url = await frontend(api)
        (pod,) = await pods(api, "VllmPrefillWorker")
        process_of(serving.home, pod).send_signal(signal.SIGKILL)
        await listed(url, [])
        await listed(url, [MODEL])

        async def is_told() -> bool:
            """The router hears of the worker from the worker itself, the API server from the node."""
            (again,) = await pods(api, "VllmPrefillWorker")
            assert again["metadata"]["name"] == pod["metadata"]["name"]
            return bool(again["status"]["containerStatuses"][0]["restartCount"] == 1)

        await until(is_told, PATIENCE_S)
        assert await ask(url, "Still there?")


async def test_four_decode_workers_answer_after_scaling_out_through_the_adapter(serving: Operated) -> None:
    async with cluster(serving) as api:
        url = await frontend(api)
        patch = {"spec": {"services": {"VllmDecodeWorker": {"scalingAdapter": {"enabled": True}}}}}
        await api.patch(DYNAMO_GRAPH_DEPLOYMENT, HERE, "dynamo-grove", patch)

        async def has_adapter() -> bool:
            return bool((await api.list(SCALING_ADAPTER, namespace=HERE)).items)

        await until(has_adapter, PATIENCE_S)
        adapter = "dynamo-grove-vllmdecodeworker"
        await api.patch(SCALING_ADAPTER, HERE, adapter, {"spec": {"replicas": 4}}, subresource="scale")

        async def are_four() -> bool:
            found = await pods(api, "VllmDecodeWorker")
            return len(found) == 4 and all(map(is_ready, found))

        await until(are_four, PATIENCE_S)

        async def all_answered() -> bool:
            await asyncio.gather(*(ask(url, f"question {i} " * 20, 16) for i in range(16)))
            said = [
                await logs(serving, p["metadata"]["name"], "--tail=-1") for p in await pods(api, "VllmDecodeWorker")
            ]
            return all("request completed" in text for text in said)

        await until(all_answered, PATIENCE_S)


async def test_a_rolling_update_of_every_role_fails_no_new_request(
    serving: Operated, record_property: Callable[[str, object], None]
) -> None:
    """Two units of each role at least. Streams that a going worker breaks off are counted, not forbidden."""
    async with cluster(serving) as api:
        asked: Json = {"spec": {"annotations": PATIENT, "services": STEADY}}
        await api.patch(DYNAMO_GRAPH_DEPLOYMENT, HERE, "dynamo-grove", asked)

        async def units() -> dict[str, Json]:
            found = [pod for role in ROLES for pod in await pods(api, role)]
            return {pod["metadata"]["uid"]: pod for pod in found}

        async def two_of_each_are(sought: Callable[[Json], bool]) -> bool:
            now = (await units()).values()
            counts = Counter(p["metadata"]["labels"]["nvidia.com/dynamo-component"] for p in now)
            return all(counts[role] >= 2 for role in ROLES) and all(is_ready(p) and sought(p) for p in now)

        # This change is itself a rolling update: two ready frontends may be those from before it.
        await until(lambda: two_of_each_are(is_steady), PATIENCE_S)
        for pod in await pods(api, "Frontend"):
            await listed(f"http://{pod['status']['podIP']}:8000", [MODEL])
        before = await units()
        async with (
            timeline(api, HERE, ROLES) as moments,
            Traffic(api, HERE, "dynamo-grove-frontend", MODEL) as traffic,
        ):
            await until(traffic.has_begun, PATIENCE_S)
            rolled = {"spec": {"envs": [{"name": "ROLLED", "value": str(time.time())}]}}
            await api.patch(DYNAMO_GRAPH_DEPLOYMENT, HERE, "dynamo-grove", rolled)
            await until(lambda: two_of_each_are(lambda pod: pod["metadata"]["uid"] not in before), PATIENCE_S)
        print(f"rolling update of {len(before)} pods: {traffic.summary()}")
        record_property("rolling_update", traffic.summary())
        assert not traffic.refused, "\n".join([*traffic.refused, *moments])
        assert traffic.answered >= 20


def is_steady(pod: Json) -> bool:
    """Whether a pod has the variables that STEADY gives its role; the workers' roles get none."""
    wanted = STEADY.get(pod["metadata"]["labels"]["nvidia.com/dynamo-component"], {}).get("envs", [])
    return all(variable in pod["spec"]["containers"][0].get("env", []) for variable in wanted)


GRAPH_BETA = replace(DYNAMO_GRAPH_DEPLOYMENT, version="v1beta1")
PLANNED = ROOT / "tests" / "golden" / "planner" / "graph.yaml"
ROLES = ("Frontend", "VllmDecodeWorker", "VllmPrefillWorker")
LINGER = {"preStop": {"sleep": {"seconds": 3}}}
PATIENT = {"grove.io/rollout-min-ready-seconds": "10"}
STEADY: Json = {
    "Frontend": {
        "replicas": 2,
        "envs": [{"name": "DYN_ROUTER_MODE", "value": "kv"}, {"name": "DYN_MIGRATION_LIMIT", "value": "3"}],
        "extraPodSpec": {"mainContainer": {"lifecycle": LINGER}},
    },
    "VllmPrefillWorker": {"replicas": 2},
}
"""As docs/dynamo.md has it for updates that nobody notices: a frontend serves on while clients still find it, and asks
another worker where one goes away; and with PATIENT no worker goes before the frontends know its successor."""
MULTI: Json = {
    "apiVersion": "nvidia.com/v1alpha1",
    "kind": "DynamoGraphDeployment",
    "metadata": {"name": "wide", "namespace": HERE},
    "spec": {
        "services": {
            "Engine": {
                "componentType": "worker",
                "multinode": {"nodeCount": 2},
                "resources": {"limits": {"gpu": "1"}},
                "extraPodSpec": {
                    "mainContainer": {
                        "image": "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.0.0",
                        "command": ["python3", "-m", "dynamo.vllm"],
                        "args": ["--model", "wide", "--tensor-parallel-size", "2"],
                    }
                },
            }
        }
    },
}


async def test_a_killed_worker_of_a_multinode_unit_comes_back_under_its_hostname_and_rejoins(
    serving: Operated,
) -> None:
    async with cluster(serving) as api:
        await api.create(DYNAMO_GRAPH_DEPLOYMENT, HERE, MULTI)

        def role(found: list[Json], suffix: str) -> list[Json]:
            return [pod for pod in found if f"-{suffix}-" in pod["spec"].get("hostname", "")]

        async def joined(times: int) -> bool:
            leaders = role(await pods(api, "Engine"), "ldr")
            if not leaders or not is_ready(leaders[0]):
                return False
            said = await logs(serving, leaders[0]["metadata"]["name"], "--tail=-1")
            return said.count("rank 1 joined") == times

        await until(lambda: joined(1), PATIENCE_S)
        (worker,) = role(await pods(api, "Engine"), "wkr")
        process_of(serving.home, worker).send_signal(signal.SIGKILL)
        await until(lambda: joined(2), PATIENCE_S)
        (again,) = role(await pods(api, "Engine"), "wkr")
        assert again["spec"]["hostname"] == worker["spec"]["hostname"] == "wide-0-engine-0-engine-wkr-0"


@pytest.mark.skipif(
    not planner_runtime.is_installed(), reason="the planner isn't installed; grove tools dynamo-planner"
)
async def test_dynamos_own_planner_scales_the_decode_workers_through_their_adapter(serving: Operated) -> None:
    """The one of the wheel, in its Kubernetes environment: it measures the engines' caches and writes the adapter."""
    async with cluster(serving) as api:
        await api.create(GRAPH_BETA, HERE, yaml.safe_load(PLANNED.read_text()))

        async def is_planning() -> bool:
            live = await api.get(DYNAMO_GRAPH_DEPLOYMENT, HERE, "planned")
            return bool((live.get("status") or {}).get("state") == "successful")

        async def has_scaled() -> bool:
            live = await api.get(SCALING_ADAPTER, HERE, "planned-decode")
            return bool(live["spec"]["replicas"] >= 2)

        async def is_followed() -> bool:
            found = await pods(api, "decode")
            return len(found) >= 2 and all(map(is_ready, found))

        await until(is_planning, PATIENCE_S)
        async with Traffic(api, HERE, "planned-frontend", "planned", clients=40, tokens=200):
            await until(has_scaled, PATIENCE_S)
            await until(is_followed, PATIENCE_S)
        said = await logs(serving, "-l", "nvidia.com/dynamo-component=Planner", "--tail=-1")
        assert "Scaled DGDSA planned-decode to 2 replicas" in said
        await api.delete(DYNAMO_GRAPH_DEPLOYMENT, HERE, "planned")


def test_the_runtime_is_beside_the_project_not_in_its_environment() -> None:
    assert str(dynamo_runtime.runtime_dir()) not in sys.prefix
    found: Any = [name for name in sys.path if "ai_dynamo" in name]
    assert found == []
