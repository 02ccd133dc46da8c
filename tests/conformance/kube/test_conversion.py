"""v1beta1 through the conversion server, on a real API server: nothing is lost, and it stays put."""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from yarl import URL

from grove_operator.api.crds import all_crds
from grove_operator.api.dynamo_conversion import SAID_IN
from grove_operator.api.kinds import (
    CRD,
    DYNAMO_GRAPH_DEPLOYMENT,
    NAMESPACE,
    ROLE_BINDING,
    SCALING_ADAPTER,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from grove_operator.engine.ports import ApiError, Invalid, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.crd_keeper import crd_name
from tests.golden.dynamo.story import STORIES, graph
from tests.support.installation import Installation, eventually, installed

pytestmark = pytest.mark.needs_tools
BETA = replace(DYNAMO_GRAPH_DEPLOYMENT, version="v1beta1")
KINDS = {"nvidia.com/v1alpha1": DYNAMO_GRAPH_DEPLOYMENT, "nvidia.com/v1beta1": BETA}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("conversion")) as made:
        made.start("operator-0")
        asyncio.run(made.start_conversion())
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


async def test_what_the_operator_decided_about_a_crd_is_put_back_after_it_was_written_anew(api: HttpKubeApi) -> None:
    """As `kubectl replace` does it. Until then graphs are refused, never read wrong."""
    await api.create(
        DYNAMO_GRAPH_DEPLOYMENT, "default", {**graph("example-vllm-planner"), "metadata": {"name": "kept"}}
    )
    before = await api.get(DYNAMO_GRAPH_DEPLOYMENT, "default", "kept")
    for kind in (DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER):
        written = next(crd for crd in all_crds() if crd["metadata"]["name"] == crd_name(kind))
        await api.patch(CRD, None, crd_name(kind), {"spec": {**written["spec"], "conversion": UNTRUSTED}})
        seen: list[Json] = []

        async def is_back(name: str = crd_name(kind), seen: list[Json] = seen) -> bool:
            with suppress(ApiError):
                seen.append((await api.get(DYNAMO_GRAPH_DEPLOYMENT, "default", "kept"))["spec"])
            live = await api.get(CRD, None, name)
            states = [(v["name"], v["served"], v["storage"]) for v in live["spec"]["versions"]]
            is_trusted = "caBundle" in live["spec"]["conversion"]["webhook"]["clientConfig"]
            return states == [("v1alpha1", True, False), ("v1beta1", True, True)] and is_trusted

        await eventually(is_back, f"conversion of {crd_name(kind)}")
        assert all(spec == before["spec"] for spec in seen)
        await moved(api, kind)
    await api.delete(DYNAMO_GRAPH_DEPLOYMENT, "default", "kept")


async def test_the_operator_lives_while_nobody_converts_and_goes_on_afterwards(
    api: HttpKubeApi, installation: Installation
) -> None:
    await api.create(
        DYNAMO_GRAPH_DEPLOYMENT, "default", {**graph("example-vllm-planner"), "metadata": {"name": "alone"}}
    )
    operator, conversion = installation.processes[:2]
    conversion.kill()
    conversion.wait()
    with pytest.raises(ApiError, match="conversion webhook"):
        await api.get(DYNAMO_GRAPH_DEPLOYMENT, "default", "alone")
    kept = await api.get(BETA, "default", "alone")
    assert [c["name"] for c in kept["spec"]["components"]]
    await installation.start_conversion()

    async def answers() -> bool:
        try:
            live = await api.get(DYNAMO_GRAPH_DEPLOYMENT, "default", "alone")
        except ApiError:
            return False
        return "services" in live["spec"]

    await eventually(answers, "v1alpha1")
    await api.patch(BETA, "default", "alone", {"spec": {"labels": {"seen": "again"}}})

    async def is_reconciled() -> bool:
        assert operator.poll() is None, installation.said("operator-0")[-3000:]
        live = await api.get(BETA, "default", "alone")
        return bool(live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"])

    await eventually(is_reconciled, lambda: f"the graph; {installation.said('operator-0')[-3000:]}")
    await api.delete(DYNAMO_GRAPH_DEPLOYMENT, "default", "alone")


async def test_what_the_real_planner_asked_is_answered_and_scales_the_graph(
    api: HttpKubeApi, installation: Installation
) -> None:
    """Its recorded requests, in v1beta1 and under the account that the operator makes for planners."""
    here = "vllm-v1-disagg-router"
    await api.create(NAMESPACE, None, {"metadata": {"name": here}})
    await api.create(BETA, here, yaml.safe_load((RECORDED / "graph.yaml").read_text()))
    record = json.loads((RECORDED / "exchange.json").read_text())

    async def token() -> str:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        try:
            await api.get(ROLE_BINDING, here, "planner-serviceaccount-binding")
            await api.get(replace(SCALING_ADAPTER, version="v1beta1"), here, "planned-decode")
            made = await api.create(SERVICE_ACCOUNT, here, request, subresource_of="planner-serviceaccount/token")
        except NotFound:
            return ""
        return str(made["status"]["token"])

    headers = {"Authorization": f"Bearer {await eventually(token, 'an account for planners')}"}
    trust = ssl.create_default_context(cafile=str(installation.plane.ca))
    wanted = 0
    async with aiohttp.ClientSession(installation.plane.server, headers=headers) as planner:
        for asked in record["exchange"]:
            body = json.dumps(asked["body"]) if "body" in asked else None
            kind = {"Content-Type": asked["contentType"]} if body else {}

            async def is_answered(asked: Json = asked, body: str | None = body, kind: Json = kind) -> bool:
                url = URL(asked["path"], encoded=True)
                async with planner.request(asked["method"], url, data=body, headers=kind, ssl=trust) as answer:
                    if answer.status == 429:  # the CRD was just made; every client comes again
                        return False
                    assert answer.status == asked["status"], f"{asked}: {await answer.text()}"
                    return True

            await eventually(is_answered, f"an answer to {asked}")
            wanted = asked["body"]["spec"]["replicas"] if body else wanted

    async def is_followed() -> bool:
        live = await api.get(BETA, here, "planned")
        return any(c["name"] == "decode" and c["replicas"] == wanted for c in live["spec"]["components"])

    assert wanted > 1
    await eventually(is_followed, lambda: f"{wanted} replicas; {installation.said('operator-0')[-2000:]}")
    await api.delete(BETA, here, "planned")


RECORDED = Path(__file__).parents[2] / "golden" / "planner"
"""ai-dynamo 1.6.1's planner against this project's operator; wheel versions and command are in exchange.json."""
UNTRUSTED: Json = {**next(c for c in all_crds() if "conversion" in c["spec"])["spec"]["conversion"]}
UNTRUSTED["webhook"] = {
    **UNTRUSTED["webhook"],
    "clientConfig": {**UNTRUSTED["webhook"]["clientConfig"], "caBundle": None},
}


async def moved(api: HttpKubeApi, kind: Kind) -> None:
    async def is_moved() -> bool:
        live = await api.get(CRD, None, crd_name(kind))
        return bool(live["status"]["storedVersions"] == ["v1beta1"])

    await eventually(is_moved, f"storage of {crd_name(kind)}")
