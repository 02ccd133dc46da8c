"""ConversionReviews answered, and what is put into a CRD so that they are asked."""

from __future__ import annotations

import asyncio
import base64
import copy
from typing import Any

import pytest

from grove_operator.api.config import parse_config
from grove_operator.api.crds import all_crds, as_served
from grove_operator.api.dynamo_conversion import ALPHA, BETA, to_beta
from grove_operator.api.dynamo_scaling_conversion import adapter_as_version
from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, Json
from grove_operator.engine.ports import ApiError, Invalid
from grove_operator.kube.conversion import convert_review
from grove_operator.kube.crd_keeper import CrdKeeper, crd_name, with_conversion
from grove_operator.kube.storage_version import StorageMover
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from tests.unit.dynamo.conversions import graph

GRAPH = DYNAMO_GRAPH_DEPLOYMENT.kind


def review(version: Any, *objects: Any) -> Json:
    return {"request": {"uid": "u-1", "desiredAPIVersion": version, "objects": list(objects)}}


def test_all_objects_of_a_review_are_converted_in_order() -> None:
    objects = [graph(ALPHA, 1), graph(ALPHA, 2)]
    answer = convert_review(review(BETA, *copy.deepcopy(objects)))["response"]
    assert answer["uid"] == "u-1"
    assert answer["result"] == {"status": "Success"}
    assert answer["convertedObjects"] == [to_beta(obj) for obj in objects]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (review("nvidia.com/v2", graph(ALPHA, 1)), "there is no nvidia.com/v2"),
        (review(BETA, {"kind": "Pod", "metadata": {"name": "p"}}), "only DynamoGraphDeployment"),
        (review(BETA, {"kind": "DynamoGraphDeployment"}), "no metadata"),
        (review(BETA, 7), "no metadata"),
        (
            review(
                BETA, {"apiVersion": ALPHA, "kind": "DynamoGraphDeployment", "metadata": {}, "spec": {"services": 3}}
            ),
            "can't be converted",
        ),
    ],
)
def test_what_cannot_be_converted_fails_the_review_with_a_reason(asked: Json, says: str) -> None:
    answer = convert_review(asked)["response"]
    assert answer["result"]["status"] == "Failed"
    assert says in answer["result"]["message"]
    assert answer["convertedObjects"] == []


@pytest.mark.parametrize("asked", [None, [], {}, {"request": None}, {"request": {"objects": None}}])
def test_a_review_without_objects_is_answered(asked: Any) -> None:
    assert convert_review(asked)["response"]["convertedObjects"] == []


def adapter(version: str, **ref: str) -> Json:
    spec = {"replicas": 2, "dgdRef": {"name": "g", **ref}}
    meta = {"name": "g-a", "namespace": "ns"}
    return {"apiVersion": version, "kind": "DynamoGraphDeploymentScalingAdapter", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    "obj",
    [
        adapter(ALPHA, serviceName="Decode"),
        adapter(BETA, componentName="Decode"),
        adapter(BETA, componentGroupName="x"),
    ],
)
def test_an_adapter_comes_back_from_the_other_version_as_it_was(obj: Json) -> None:
    other = BETA if obj["apiVersion"] == ALPHA else ALPHA
    given = copy.deepcopy(obj)
    there = adapter_as_version(obj, other)
    assert obj == given
    assert adapter_as_version(there, obj["apiVersion"]) == given


SERVICE = ("grove-system", 9448)


def graph_crd() -> Json:
    (crd,) = [c for c in all_crds() if c["metadata"]["name"] == crd_name(DYNAMO_GRAPH_DEPLOYMENT)]
    return crd


def versions_of(spec: Json) -> list[tuple[str, bool, bool]]:
    return [(v["name"], v["served"], v["storage"]) for v in spec["versions"]]


INSTALLED = [("v1alpha1", True, True), ("v1beta1", False, False)]
MOVED = [("v1alpha1", True, False), ("v1beta1", True, True)]


def test_an_installed_crd_needs_no_conversion_and_would_rather_refuse_than_guess() -> None:
    spec = graph_crd()["spec"]
    assert versions_of(spec) == INSTALLED
    assert spec["conversion"]["strategy"] == "Webhook"
    assert "caBundle" not in spec["conversion"]["webhook"]["clientConfig"]


def test_a_crd_gets_the_conversion_at_once_and_the_version_when_the_server_answers() -> None:
    crd = graph_crd()
    first = with_conversion(crd, *SERVICE, b"CA", promote=False)
    assert first is not None
    assert versions_of(first) == INSTALLED
    client = first["conversion"]["webhook"]["clientConfig"]
    assert client["service"] == {
        "namespace": "grove-system",
        "name": "grove-conversion",
        "path": "/convert",
        "port": 9448,
    }
    crd["spec"] |= first
    assert with_conversion(crd, *SERVICE, b"CA", promote=False) is None
    second = with_conversion(crd, *SERVICE, b"CA", promote=True)
    assert second is not None
    assert versions_of(second) == MOVED
    crd["spec"] |= second
    assert with_conversion(crd, *SERVICE, b"CA", promote=True) is None
    assert with_conversion(crd, *SERVICE, b"CA", promote=False) is None, "a server that is down takes nothing back"
    assert with_conversion(crd, *SERVICE, b"another CA", promote=False) is not None


def test_a_crd_of_one_version_is_left_alone() -> None:
    (crd,) = [c for c in all_crds() if c["metadata"]["name"] == "podcliquesets.grove.io"]
    assert with_conversion(crd, *SERVICE, b"CA", promote=True) is None


def test_a_crd_written_anew_keeps_what_the_operator_decided() -> None:
    crd, live = graph_crd(), graph_crd()
    live["spec"] |= with_conversion(live, *SERVICE, b"CA", promote=True) or {}
    kept = as_served(crd, live)
    assert versions_of(kept["spec"]) == MOVED
    assert kept["spec"]["conversion"] == live["spec"]["conversion"]
    older = graph_crd()
    older["spec"]["versions"] = older["spec"]["versions"][:1]
    assert as_served(crd, older) == crd


def test_the_switch_is_spelled_as_the_documents_say() -> None:
    assert parse_config({}).dynamo.serve_v1beta1
    assert not parse_config({"dynamo": {"serveV1beta1": False}}).dynamo.serve_v1beta1


class World:
    """A simulated API server with the CRDs, a keeper and a mover, and a conversion server that answers or not."""

    def __init__(self) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.fault, self.ca, self.is_ours = "connection refused", b"CA", True
        self.keeper = CrdKeeper(
            self.api, self.clock, SERVICE, lambda: self.ca, self._fault, is_ours=lambda: self.is_ours
        )
        self.mover = StorageMover(self.api, self.clock)

    async def _fault(self) -> str:
        return self.fault

    async def begin(self, *, moves: bool = True) -> None:
        for manifest in all_crds():
            await self.api.create(CRD, None, manifest)
        self.tasks = [asyncio.create_task(self.keeper.run())]
        if moves:
            self.tasks.append(asyncio.create_task(self.mover.run()))
        await self.clock.advance(1)

    async def crd(self) -> Json:
        return await self.api.get(CRD, None, crd_name(DYNAMO_GRAPH_DEPLOYMENT))

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_v1beta1_is_served_and_stored_within_a_second_after_the_conversion_server_answers() -> None:
    world = World()
    await world.begin()
    await world.clock.advance(30)
    live = await world.crd()
    assert versions_of(live["spec"]) == INSTALLED
    assert "caBundle" in live["spec"]["conversion"]["webhook"]["clientConfig"]
    world.fault = ""
    await world.clock.advance(1)
    assert versions_of((await world.crd())["spec"]) == MOVED
    await world.end()


async def test_what_somebody_takes_away_from_a_crd_is_put_back_at_once() -> None:
    world = World()
    world.fault = ""
    await world.begin()
    for _ in range(2):
        assert versions_of((await world.crd())["spec"]) == MOVED
        written = graph_crd()["spec"]
        await world.api.patch(CRD, None, crd_name(DYNAMO_GRAPH_DEPLOYMENT), {"spec": {**written, "conversion": None}})
        await world.clock.advance(1)
    live = await world.crd()
    assert versions_of(live["spec"]) == MOVED
    assert live["spec"]["conversion"]["strategy"] == "Webhook"
    await world.end()


async def test_a_new_ca_reaches_the_crd_as_soon_as_it_is_told() -> None:
    world = World()
    world.fault = ""
    await world.begin()
    world.ca = b"another"
    world.keeper.look_again()
    await world.clock.advance(0.1)
    client = (await world.crd())["spec"]["conversion"]["webhook"]["clientConfig"]
    assert base64.b64decode(client["caBundle"]) == b"another"
    await world.end()


async def test_nothing_is_written_where_nvidias_operator_owns_the_group() -> None:
    world = World()
    world.fault, world.is_ours = "", False
    await world.begin()
    await world.clock.advance(1200)
    live = await world.crd()
    assert versions_of(live["spec"]) == INSTALLED
    assert "caBundle" not in live["spec"]["conversion"]["webhook"]["clientConfig"]
    await world.end()


async def test_stored_versions_are_trimmed_only_when_every_object_was_rewritten() -> None:
    world = World()
    world.fault = ""
    await world.begin(moves=False)
    for i in range(3):
        await world.api.create(DYNAMO_GRAPH_DEPLOYMENT, "ns", graph(ALPHA, i) | {"metadata": {"name": f"g-{i}"}})
    name = crd_name(DYNAMO_GRAPH_DEPLOYMENT)
    both = {"status": {"storedVersions": ["v1alpha1", "v1beta1"]}}
    rewritten: list[str] = []
    faults = {"g-1": 1}

    class Watching:
        """The API server, but it refuses g-1 once."""

        def __getattr__(self, called: str) -> Any:
            return getattr(world.api, called)

        async def list(self, kind: Any, **_: Any) -> Any:
            assert kind.version == "v1beta1", "objects are written in the version that is stored"
            return await world.api.list(DYNAMO_GRAPH_DEPLOYMENT)

        async def patch(self, kind: Any, namespace: str | None, obj: str, body: Json, **more: Any) -> Json:
            if kind == CRD:
                return await world.api.patch(kind, namespace, obj, body, **more)
            if faults.pop(obj, 0):
                raise Invalid(f"{obj} is not what it should be")
            assert (body, more) == ({}, {"subresource": "status"})
            rewritten.append(obj)
            return {}

    mover: Any = StorageMover(Watching(), world.clock)  # type: ignore[arg-type]
    await world.api.patch(CRD, None, name, both, subresource="status")

    async def move() -> int:
        task = asyncio.create_task(mover.move(DYNAMO_GRAPH_DEPLOYMENT))
        await world.clock.advance(5)
        moved: int = await task
        return moved

    with pytest.raises(ApiError, match=r"1 of 3 objects can't be stored as v1beta1: ns/g-1: .*correct or delete"):
        await move()
    assert (await world.crd())["status"]["storedVersions"] == ["v1alpha1", "v1beta1"]
    rewritten.clear()
    assert await move() == 3
    assert sorted(rewritten) == ["g-0", "g-1", "g-2"]
    assert (await world.crd())["status"]["storedVersions"] == ["v1beta1"]
    assert await move() == 0
    await world.end()
