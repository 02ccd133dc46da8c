"""ConversionReviews answered, and what is put into a CRD so that they are asked."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from grove_operator.api.crds import all_crds
from grove_operator.api.dynamo_conversion import ALPHA, BETA, to_beta
from grove_operator.api.dynamo_scaling_conversion import adapter_as_version
from grove_operator.api.kinds import DYNAMO_GRAPH_DEPLOYMENT, Json
from grove_operator.kube.conversion import convert_review
from grove_operator.kube.crd_keeper import crd_name, with_conversion
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
