"""ConversionReviews answered, and what is put into a CRD so that they are asked."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from grove_operator.api.config import parse_config
from grove_operator.api.crds import all_crds
from grove_operator.api.dynamo_conversion import ALPHA, BETA, to_beta
from grove_operator.api.dynamo_scaling_conversion import adapter_as_version
from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, Json
from grove_operator.kube.conversion import convert_review
from grove_operator.kube.crd_keeper import CrdKeeper, crd_name, with_conversion
from grove_operator.kube.gate import Authorizer, DeletionGuard, Gate
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


def test_a_crd_gets_the_conversion_and_serves_v1beta1_then_and_nothing_more_is_done() -> None:
    (crd,) = [c for c in all_crds() if c["metadata"]["name"] == crd_name(DYNAMO_GRAPH_DEPLOYMENT)]
    assert [(v["name"], v["served"], v["storage"]) for v in crd["spec"]["versions"]] == [
        ("v1alpha1", True, True),
        ("v1beta1", False, False),
    ]
    change = with_conversion(crd, "grove-system", 9443, b"CA")
    assert change is not None
    assert [(v["name"], v["served"], v["storage"]) for v in change["versions"]] == [
        ("v1alpha1", True, True),
        ("v1beta1", True, False),
    ]
    assert change["conversion"]["webhook"]["clientConfig"]["service"]["path"] == "/webhooks/convert"
    crd["spec"] |= change
    assert with_conversion(crd, "grove-system", 9443, b"CA") is None
    assert with_conversion(crd, "grove-system", 9443, b"another CA") is not None


def test_a_crd_of_one_version_is_left_alone() -> None:
    (crd,) = [c for c in all_crds() if c["metadata"]["name"] == "podcliquesets.grove.io"]
    assert with_conversion(crd, "grove-system", 9443, b"CA") is None


def test_the_switch_is_spelled_as_the_documents_say() -> None:
    assert parse_config({"dynamo": {"serveV1beta1": True}}).dynamo.serve_v1beta1
    assert not parse_config({}).dynamo.serve_v1beta1


async def test_the_gate_answers_conversions_itself() -> None:
    async def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("kopf has nothing to do with conversions")

    async def no_owner(_namespace: str, _name: str) -> None:
        return None

    async def no_sets() -> list[str]:
        return []

    gate = Gate({}, Authorizer(no_owner, (), is_enabled=False), DeletionGuard(no_sets))
    answer = await gate.around(never)(review(BETA, graph(ALPHA, 1)), webhook="convert")
    assert answer["response"]["convertedObjects"] == [to_beta(graph(ALPHA, 1))]


async def test_what_somebody_takes_away_from_a_crd_is_put_back_at_once() -> None:
    clock = SimClock()
    api = SimApi(clock)
    for manifest in all_crds():
        await api.create(CRD, None, manifest)
    keeper = asyncio.create_task(CrdKeeper(api, clock, "grove-system", 9443, lambda: b"CA").run())
    name = crd_name(DYNAMO_GRAPH_DEPLOYMENT)
    before = copy.deepcopy((await api.get(CRD, None, name))["spec"])
    await clock.advance(1)
    for _ in range(2):
        live = await api.get(CRD, None, name)
        assert [v["served"] for v in live["spec"]["versions"]] == [True, True]
        assert live["spec"]["conversion"]["strategy"] == "Webhook"
        await api.patch(CRD, None, name, {"spec": {"versions": before["versions"], "conversion": None}})
        await clock.advance(1)
    keeper.cancel()
