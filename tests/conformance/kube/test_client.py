"""The HTTP client against a real API server: what the port promises is what Kubernetes does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from grove_operator.api.kinds import CONFIG_MAP, NAMESPACE, NODE, POD, Json
from grove_operator.engine.ports import AlreadyExists, ApiError, Conflict, Invalid, NotFound, WatchEvent
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.controlplane_bare import BareControlPlane

pytestmark = pytest.mark.needs_tools


@pytest.fixture
async def api(control_plane: BareControlPlane) -> AsyncIterator[HttpKubeApi]:
    async with HttpKubeApi.from_kubeconfig(control_plane.kubeconfig, page_size=2) as client:
        yield client


@pytest.fixture
async def namespace(api: HttpKubeApi) -> str:
    name = f"client-{uuid.uuid4().hex[:8]}"
    await api.create(NAMESPACE, None, {"metadata": {"name": name}})
    return name


def config_map(name: str, **data: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"test": "yes"}},
        "data": data,
    }


async def test_an_object_is_created_read_patched_and_deleted(api: HttpKubeApi, namespace: str) -> None:
    made = await api.create(CONFIG_MAP, namespace, config_map("a", x="1"))
    patched = await api.patch(CONFIG_MAP, namespace, "a", {"data": {"x": None, "y": "2"}})
    assert patched["data"] == {"y": "2"}
    assert (await api.get(CONFIG_MAP, namespace, "a"))["metadata"]["uid"] == made["metadata"]["uid"]
    await api.delete(CONFIG_MAP, namespace, "a")
    with pytest.raises(NotFound):
        await api.get(CONFIG_MAP, namespace, "a")
    with pytest.raises(NotFound):
        await api.delete(CONFIG_MAP, namespace, "a")


async def test_a_second_create_already_exists_and_nonsense_is_invalid(api: HttpKubeApi, namespace: str) -> None:
    await api.create(CONFIG_MAP, namespace, config_map("a"))
    with pytest.raises(AlreadyExists):
        await api.create(CONFIG_MAP, namespace, config_map("a"))
    with pytest.raises(Invalid, match="Not_A_Name"):
        await api.create(CONFIG_MAP, namespace, config_map("Not_A_Name"))
    with pytest.raises(NotFound):
        await api.create(CONFIG_MAP, "no-such-namespace", config_map("a"))


async def test_stale_preconditions_conflict_and_change_nothing(api: HttpKubeApi, namespace: str) -> None:
    made = await api.create(CONFIG_MAP, namespace, config_map("a", x="1"))
    now = await api.patch(CONFIG_MAP, namespace, "a", {"data": {"x": "2"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"x": "3"}}
    with pytest.raises(Conflict):
        await api.patch(CONFIG_MAP, namespace, "a", stale)
    with pytest.raises(Conflict):
        await api.patch(CONFIG_MAP, namespace, "a", {"metadata": {"uid": str(uuid.uuid4())}, "data": {"x": "3"}})
    with pytest.raises(Conflict):
        await api.delete(CONFIG_MAP, namespace, "a", uid=str(uuid.uuid4()))
    assert await api.get(CONFIG_MAP, namespace, "a") == now
    await api.delete(CONFIG_MAP, namespace, "a", uid=made["metadata"]["uid"])


async def test_a_list_comes_whole_though_read_in_pages(api: HttpKubeApi, namespace: str) -> None:
    for number in range(5):
        await api.create(CONFIG_MAP, namespace, config_map(f"m{number}"))
    listing = await api.list(CONFIG_MAP, namespace=namespace, label_selector="test=yes")
    assert [item["metadata"]["name"] for item in listing.items] == [f"m{number}" for number in range(5)]
    assert {(item["kind"], item["apiVersion"]) for item in listing.items} == {("ConfigMap", "v1")}
    assert api.log.requests[("list", "configmaps", 200)] == 3
    one = await api.list(CONFIG_MAP, namespace=namespace, field_selector="metadata.name=m3")
    assert len(one.items) == 1


async def test_a_watch_tells_what_happened_since_the_list(api: HttpKubeApi, namespace: str) -> None:
    listing = await api.list(CONFIG_MAP, namespace=namespace)
    await api.create(CONFIG_MAP, namespace, config_map("a"))
    await api.patch(CONFIG_MAP, namespace, "a", {"data": {"x": "1"}})
    await api.delete(CONFIG_MAP, namespace, "a")
    seen: list[WatchEvent] = []
    async for event in api.watch(CONFIG_MAP, listing.resource_version, namespace=namespace):
        seen.append(event)
        if event.type == "DELETED":
            break
    assert [event.type for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert api.log.watch_ages_s()["configmaps"] < 60


async def test_a_binding_puts_a_pod_on_its_node_and_only_once(api: HttpKubeApi, namespace: str) -> None:
    node = f"node-{namespace}"
    await api.create(NODE, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    pod = {
        "metadata": {"name": "p"},
        "spec": {"schedulerName": "grove-scheduler", "containers": [{"name": "c", "image": "i"}]},
    }
    made = await api.create(POD, namespace, pod)
    binding: Json = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p", "uid": made["metadata"]["uid"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    await api.create(POD, namespace, binding, subresource_of="p/binding")
    assert (await api.get(POD, namespace, "p"))["spec"]["nodeName"] == node
    with pytest.raises(Conflict):
        await api.create(POD, namespace, binding, subresource_of="p/binding")
    assert api.log.writes()[("create", "pods/binding")] == 2


async def test_status_is_written_by_its_subresource_alone(api: HttpKubeApi, namespace: str) -> None:
    await api.create(POD, namespace, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    patched = await api.patch(POD, namespace, "p", {"status": {"message": "hello"}}, subresource="status")
    assert patched["status"]["message"] == "hello"
    assert (await api.patch(POD, namespace, "p", {"status": {"message": "no"}}))["status"]["message"] == "hello"


async def test_a_hundred_requests_are_in_flight_at_once(api: HttpKubeApi, namespace: str) -> None:
    await asyncio.gather(*(api.create(CONFIG_MAP, namespace, config_map(f"c{n}")) for n in range(100)))
    assert len((await api.list(CONFIG_MAP, namespace=namespace)).items) == 100


async def test_a_wrong_token_is_told_as_such(control_plane: BareControlPlane, api: HttpKubeApi) -> None:
    stranger = replace(api.connection, token="wrong")
    async with HttpKubeApi(stranger) as client:
        with pytest.raises(ApiError) as refused:
            await client.get(NAMESPACE, None, "default")
    assert refused.value.status == 401
