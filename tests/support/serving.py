"""Real Dynamo on a local cluster: operator, scheduler, NATS and the article's graph, and how one looks at them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import psutil
import yaml

from grove_components.platform_config import PlatformConfig
from grove_components.platform_objects import nats_address, platform_manifests
from grove_operator.api.kinds import BY_KIND, DYNAMO_GRAPH_DEPLOYMENT, NAMESPACE, POD, SECRET, Json, Kind
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster import dynamo_runtime
from grove_operator.localcluster.supervisor_control import UpOptions, down, up
from grove_operator.localcluster.tools_report import PlainReport
from tests.support.deployed import install, until
from tests.support.operated import Operated, is_ready

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "manifests" / "quickstart.yaml"
HERE, MODEL = "vllm-v1-disagg-router", "Qwen/Qwen3-0.6B"
PLATFORM = PlatformConfig(install="manifests")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
PATIENCE_S = 120.0


@contextmanager
def serving_cluster(home: Path) -> Iterator[Operated]:
    """Gone on exit, with everything that runs on it."""
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


async def frontend(api: HttpKubeApi) -> str:
    """Address of the only one."""
    found: list[Json] = []

    async def is_up() -> bool:
        found[:] = await pods(api, "Frontend")
        return len(found) == 1 and is_ready(found[0])

    await until(is_up, PATIENCE_S)
    return f"http://{found[0]['status']['podIP']}:8000"


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
