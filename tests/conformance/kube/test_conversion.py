"""v1beta1 through the operator's conversion webhook, on a real API server: nothing is lost, and it stays put."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from grove_operator.api.dynamo_conversion import SAID_IN
from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER, Json
from grove_operator.engine.ports import Invalid, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.crd_keeper import crd_name
from tests.golden.dynamo.story import STORIES, graph
from tests.support.installation import Installation, eventually, installed

pytestmark = pytest.mark.needs_tools
BETA = replace(DYNAMO_GRAPH_DEPLOYMENT, version="v1beta1")
KINDS = {"nvidia.com/v1alpha1": DYNAMO_GRAPH_DEPLOYMENT, "nvidia.com/v1beta1": BETA}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    config = {"dynamo": {"serveV1beta1": True}}
    with installed(tmp_path_factory.mktemp("conversion"), config) as made:
        made.start("operator-0")
        yield made


@pytest.fixture
async def api(installation: Installation) -> AsyncIterator[HttpKubeApi]:
    async with HttpKubeApi.from_kubeconfig(installation.plane.kubeconfig) as client:

        async def is_served() -> bool:
            try:
                await client.list(BETA)
            except NotFound:
                return False
            return (await installation.probe("/readyz"))[0] == 200

        await eventually(is_served, lambda: f"v1beta1; {installation.said('operator-0')[-2000:]}")
        yield client


def said(obj: Json) -> Json:
    """What the user said: without what the server and the conversion add."""
    annotations = {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k not in SAID_IN.values()}
    return {"annotations": annotations, "spec": obj["spec"]}


async def test_every_real_world_graph_is_the_same_after_it_was_written_in_the_other_version(api: HttpKubeApi) -> None:
    for story in STORIES:
        obj = {**graph(story), "metadata": {**graph(story)["metadata"], "namespace": "default"}}
        kind = KINDS[obj["apiVersion"]]
        other = BETA if kind is DYNAMO_GRAPH_DEPLOYMENT else DYNAMO_GRAPH_DEPLOYMENT
        name = obj["metadata"]["name"]
        stored = await api.create(kind, "default", obj)
        there = await api.get(other, "default", name)
        assert there["apiVersion"] == other.api_version
        touched = {"metadata": {"labels": {"touched": "yes"}}}
        await api.patch(other, "default", name, touched)
        back = await api.get(kind, "default", name)
        assert said(back) == said(stored), story
        assert back["metadata"]["generation"] == stored["metadata"]["generation"]
        await api.delete(kind, "default", name)


async def test_a_change_in_one_version_is_seen_in_the_other(api: HttpKubeApi) -> None:
    obj = copy.deepcopy(graph("example-vllm-planner"))
    obj["metadata"] = {"name": "changing"}
    await api.create(DYNAMO_GRAPH_DEPLOYMENT, "default", obj)
    live = await api.get(BETA, "default", "changing")
    components: list[Any] = live["spec"]["components"]
    next(c for c in components if c["name"] == "Frontend")["replicas"] = 3
    await api.patch(BETA, "default", "changing", {"spec": {"components": components}})
    back = await api.get(DYNAMO_GRAPH_DEPLOYMENT, "default", "changing")
    assert back["spec"]["services"]["Frontend"]["replicas"] == 3
    assert back["spec"]["services"]["Planner"] == live_service(obj, "Planner")


def live_service(obj: Json, name: str) -> Json:
    service: Json = obj["spec"]["services"][name]
    return service


async def test_v1beta1_is_judged_at_admission_in_its_own_words(api: HttpKubeApi) -> None:
    bad = copy.deepcopy(graph("kimi-k3-vllm-v1beta1"))
    bad["metadata"] = {"name": "bad"}
    bad["spec"]["components"][1]["minAvailable"] = 2
    with pytest.raises(Invalid, match=r"spec\.components\[1\]\.minAvailable: 2 exceeds replicas 1; lower it"):
        await api.create(BETA, "default", bad)


async def test_conversion_and_serving_are_put_back_after_the_crd_was_written_anew(api: HttpKubeApi) -> None:
    for kind in (DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER):
        crd = await api.get(CRD, None, crd_name(kind))
        versions = [{**v, "served": v["name"] == "v1alpha1"} for v in crd["spec"]["versions"]]
        spec = {"versions": versions, "conversion": {"strategy": "None", "webhook": None}}
        await api.patch(CRD, None, crd_name(kind), {"spec": spec})

        async def is_back(name: str = crd_name(kind)) -> bool:
            live = await api.get(CRD, None, name)
            served = [v["name"] for v in live["spec"]["versions"] if v["served"]]
            return served == ["v1alpha1", "v1beta1"] and live["spec"]["conversion"]["strategy"] == "Webhook"

        await eventually(is_back, f"conversion of {crd_name(kind)}")
