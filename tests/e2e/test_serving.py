"""Real Dynamo on the local cluster: its own frontend, router and mockers answer; what is done to them shows outside.

One story on one cluster, in order. Skipped where Dynamo's processes aren't installed (`grove tools dynamo`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml

from grove_components.platform_config import PlatformConfig
from grove_components.platform_objects import nats_address, platform_manifests
from grove_operator.api.kinds import (
    BY_KIND,
    DYNAMO_GRAPH_DEPLOYMENT,
    NAMESPACE,
    POD,
    SCALING_ADAPTER,
    SECRET,
    Json,
    Kind,
)
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster import dynamo_runtime
from grove_operator.localcluster.supervisor_control import UpOptions, down, up
from grove_operator.localcluster.tools_report import PlainReport
from tests.support.deployed import install, until
from tests.support.operated import Operated
from tests.support.traffic import Traffic

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "manifests" / "quickstart.yaml"
HERE, MODEL = "vllm-v1-disagg-router", "Qwen/Qwen3-0.6B"
PLATFORM = PlatformConfig(install="manifests")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
PATIENCE_S = 120.0
pytestmark = [
    pytest.mark.needs_tools,
    pytest.mark.skipif(not dynamo_runtime.is_installed(), reason="Dynamo isn't installed; grove tools dynamo"),
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Operator, scheduler, NATS and the article's graph, unchanged."""
    home = tmp_path_factory.mktemp("serving")
    before = os.environ.pop(dynamo_runtime.SWITCH, None)
    try:
        state = up(UpOptions("serving"), PlainReport(), home).state
        kubeconfig = Path(state.kubeconfig)
        asyncio.run(_set_up(kubeconfig))
        yield Operated(home, kubeconfig)
    finally:
        down("serving", delete=True, home=home)
        if before is not None:
            os.environ[dynamo_runtime.SWITCH] = before


async def _set_up(kubeconfig: Path) -> None:
    async with HttpKubeApi.from_kubeconfig(kubeconfig) as api:
        for manifest in platform_manifests(PLATFORM):
            kind = STATEFUL_SET if manifest["kind"] == "StatefulSet" else BY_KIND[manifest["kind"]]
            await api.create(kind, manifest["metadata"].get("namespace"), manifest)
        await install(api, {"dynamo": {"nats": nats_address(PLATFORM)}})
        await api.create(NAMESPACE, None, {"metadata": {"name": HERE}})
        token: Json = {"metadata": {"name": "hf-token-secret"}, "stringData": {"HF_TOKEN": "x"}}
        await api.create(SECRET, HERE, token)
        for manifest in yaml.safe_load_all(QUICKSTART.read_text()):
            if manifest["kind"] == "DynamoGraphDeployment":
                await api.create(DYNAMO_GRAPH_DEPLOYMENT, HERE, manifest)


@asynccontextmanager
async def cluster(serving: Operated) -> AsyncIterator[HttpKubeApi]:
    async with HttpKubeApi.from_kubeconfig(serving.kubeconfig) as api:
        yield api


async def pods(api: HttpKubeApi, component: str) -> list[Json]:
    found = await api.list(POD, namespace=HERE, label_selector=f"nvidia.com/dynamo-component={component}")
    return [pod for pod in found.items if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


async def frontend(api: HttpKubeApi) -> str:
    async def is_up() -> bool:
        found = await pods(api, "Frontend")
        return bool(found) and is_ready(found[0])

    await until(is_up, PATIENCE_S)
    (pod,) = await pods(api, "Frontend")
    return f"http://{pod['status']['podIP']}:8000"


async def models(url: str) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/models") as answer:
        return [model["id"] for model in (await answer.json())["data"]]


async def listed(url: str, expected: list[str]) -> None:
    async def says() -> bool:
        return await models(url) == expected

    await until(says, PATIENCE_S)


async def ask(url: str, text: str, tokens: int = 8) -> list[str]:
    """The pieces of a streamed answer."""
    body = {"model": MODEL, "stream": True, "max_tokens": tokens, "messages": [{"role": "user", "content": text}]}
    pieces = []
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as answer:
        assert answer.status == 200, await answer.text()
        async for raw in answer.content:
            line = raw.decode().strip().removeprefix("data: ")
            if line and line != "[DONE]":
                pieces += [c["delta"].get("content") or "" for c in json.loads(line)["choices"]]
    return [piece for piece in pieces if piece]


def process_of(home: Path, pod: Json) -> psutil.Process:
    """The container's process, found by the record that the node agent keeps."""
    label = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}/main"
    for path in home.glob("clusters/*/agent/processes/*.json"):
        record = json.loads(path.read_text())
        if record["label"] == label:
            return psutil.Process(record["pid"])
    raise AssertionError(f"{label} has no process")


async def logs(serving: Operated, *args: str) -> str:
    kubectl = ["kubectl", "--kubeconfig", str(serving.kubeconfig), "-n", HERE, "logs", *args]
    process = await asyncio.create_subprocess_exec(*kubectl, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


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
        (again,) = await pods(api, "VllmPrefillWorker")
        assert again["metadata"]["name"] == pod["metadata"]["name"]
        assert again["status"]["containerStatuses"][0]["restartCount"] == 1
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
        two = {"replicas": 2}
        await api.patch(
            DYNAMO_GRAPH_DEPLOYMENT,
            HERE,
            "dynamo-grove",
            {"spec": {"services": {"Frontend": two, "VllmPrefillWorker": two}}},
        )

        async def units() -> dict[str, Json]:
            found = [pod for role in ROLES for pod in await pods(api, role)]
            return {pod["metadata"]["uid"]: pod for pod in found}

        async def all_are_ready(without: Collection[str] = (), of_each: int = 2) -> bool:
            now = await units()
            counts = Counter(p["metadata"]["labels"]["nvidia.com/dynamo-component"] for p in now.values())
            return (
                all(counts[role] >= of_each for role in ROLES)
                and all(map(is_ready, now.values()))
                and not now.keys() & set(without)
            )

        await until(all_are_ready, PATIENCE_S)
        for pod in await pods(api, "Frontend"):
            await listed(f"http://{pod['status']['podIP']}:8000", [MODEL])
        before = await units()
        async with Traffic(api, HERE, "dynamo-grove-frontend", MODEL) as traffic:
            await until(traffic.has_begun, PATIENCE_S)
            rolled = {"spec": {"envs": [{"name": "ROLLED", "value": "yes"}]}}
            await api.patch(DYNAMO_GRAPH_DEPLOYMENT, HERE, "dynamo-grove", rolled)
            await until(lambda: all_are_ready(without=before.keys()), PATIENCE_S)
        print(f"rolling update of {len(before)} pods: {traffic.summary()}")
        record_property("rolling_update", traffic.summary())
        assert traffic.refused == []
        assert traffic.answered >= 20


ROLES = ("Frontend", "VllmDecodeWorker", "VllmPrefillWorker")
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


def test_the_runtime_is_beside_the_project_not_in_its_environment() -> None:
    assert str(dynamo_runtime.runtime_dir()) not in sys.prefix
    found: Any = [name for name in sys.path if "ai_dynamo" in name]
    assert found == []
