"""Random graphs of both versions, and what a round trip has to keep."""

from __future__ import annotations

from functools import cache
from random import Random

from pydantic import BaseModel

from grove_operator.api.dynamo_conversion import ALPHA, without_nulls
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamographdeployment_v1beta1 import DynamoGraphDeploymentV1beta1
from grove_operator.api.kinds import Json
from grove_operator.api.structural import structural_schema
from tests.support.sampling import sample


@cache
def _schema(model: type[BaseModel]) -> Json:
    return structural_schema(model)


def graph(version: str, seed: int) -> Json:
    """A graph that the version's schema admits, with every field that it has somewhere among the seeds."""
    rnd = Random(seed)
    model = DynamoGraphDeployment if version == ALPHA else DynamoGraphDeploymentV1beta1
    schema = _schema(model)["properties"]
    obj: Json = {"apiVersion": version, "kind": "DynamoGraphDeployment", "metadata": {"name": "g", "namespace": "ns"}}
    if rnd.random() < 0.3:
        obj["metadata"]["annotations"] = {"a": "b"}
    obj["spec"] = sample(schema["spec"], rnd)
    parts = "services" if version == ALPHA else "components"
    if rnd.random() < 0.9:
        obj["spec"][parts] = sample(schema["spec"]["properties"][parts], rnd)
    if rnd.random() < 0.3:
        obj["status"] = sample(schema["status"], rnd)
    return without_nulls(obj)  # type: ignore[no-any-return]
