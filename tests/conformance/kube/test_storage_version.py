"""The stored version moves on a real API server, from what earlier releases left: v1alpha1 stored, v1beta1 not served,
nobody converting."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER, VALIDATING_WEBHOOKS, Json, Kind
from grove_operator.engine.ports import ApiError
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.crd_keeper import CONVERTED, crd_name
from tests.golden.dynamo.story import graph
from tests.support.installation import Installation, eventually, installed

pytestmark = pytest.mark.needs_tools
STORIES = ("example-vllm-planner", "glm5-sglang", "kimi-k25-trtllm-eagle", "llama70b-vllm-agg")
ADAPTER: Json = {
    "apiVersion": "nvidia.com/v1alpha1",
    "kind": "DynamoGraphDeploymentScalingAdapter",
    "metadata": {"name": "g-decode"},
    "spec": {"replicas": 2, "dgdRef": {"name": "g", "serviceName": "D"}},
}
GUARD = "dynamographdeployment-validating-webhook"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, crds=False) as installation:
        yield installation


@pytest.fixture
async def api(made: Installation) -> AsyncIterator[HttpKubeApi]:
    """Graphs and an adapter that were stored on the CRDs of an earlier release, and nothing running."""
    async with HttpKubeApi.from_kubeconfig(made.plane.kubeconfig) as client:
        for crd in copy.deepcopy(all_crds()):
            crd["spec"].pop("conversion", None)
            await client.create(CRD, None, crd)
        await eventually(lambda: are_served(client), "the CRDs")
        live = await client.get(VALIDATING_WEBHOOKS, None, GUARD)
        asleep = [{**webhook, "failurePolicy": "Ignore"} for webhook in live["webhooks"]]
        await client.patch(VALIDATING_WEBHOOKS, None, GUARD, {"webhooks": asleep})
        for story in STORIES:
            await client.create(DYNAMO_GRAPH_DEPLOYMENT, "default", {**graph(story), "metadata": {"name": story}})
        await client.create(SCALING_ADAPTER, "default", ADAPTER)
        await client.patch(VALIDATING_WEBHOOKS, None, GUARD, {"webhooks": live["webhooks"]})
        yield client


async def are_served(api: HttpKubeApi) -> bool:
    try:
        for kind in CONVERTED:
            await api.list(kind)
    except ApiError:
        return False
    return True


async def is_moved(api: HttpKubeApi, kind: Kind) -> bool:
    return bool((await api.get(CRD, None, crd_name(kind)))["status"]["storedVersions"] == ["v1beta1"])


async def in_etcd(made: Installation, kind: Kind) -> list[str]:
    """apiVersion of every object of the kind, as it lies there."""
    prefix = f"/registry/{kind.group}/{kind.plural}/".encode()
    until = prefix[:-1] + bytes([prefix[-1] + 1])
    ask = {"key": base64.b64encode(prefix).decode(), "range_end": base64.b64encode(until).decode()}
    async with aiohttp.ClientSession() as session, session.post(f"{made.plane.etcd}/v3/kv/range", json=ask) as answer:
        found: list[Any] = (await answer.json()).get("kvs", [])
    return [json.loads(base64.b64decode(entry["value"]))["apiVersion"] for entry in found]


async def test_what_earlier_releases_stored_is_rewritten_and_nothing_is_lost(
    made: Installation, api: HttpKubeApi
) -> None:
    specs = {o["metadata"]["name"]: o["spec"] for o in (await api.list(DYNAMO_GRAPH_DEPLOYMENT)).items}
    assert set(specs) == set(STORIES)
    assert set(await in_etcd(made, DYNAMO_GRAPH_DEPLOYMENT)) == {"nvidia.com/v1alpha1"}
    await made.serve()
    for kind in CONVERTED:
        crd = await api.get(CRD, None, crd_name(kind))
        assert [v["served"] for v in crd["spec"]["versions"]] == [True, False], "nobody converts yet"
    await made.start_conversion()
    for kind, count in ((DYNAMO_GRAPH_DEPLOYMENT, len(STORIES)), (SCALING_ADAPTER, 1)):
        await eventually(partial(is_moved, api, kind), lambda: f"the move; {made.said('operator-0')[-3000:]}")
        stored = await in_etcd(made, kind)
        assert stored == ["nvidia.com/v1beta1"] * len(stored)
        assert len(stored) >= count
        assert await api.list(replace(kind, version="v1beta1"))
    after = {o["metadata"]["name"]: o for o in (await api.list(DYNAMO_GRAPH_DEPLOYMENT)).items}
    assert {name: obj["spec"] for name, obj in after.items()} == specs
    assert all(obj["metadata"]["generation"] == 1 for obj in after.values())
    live = await api.get(SCALING_ADAPTER, "default", "g-decode")
    assert live["spec"] == ADAPTER["spec"]
