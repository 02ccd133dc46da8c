"""Issue 9: Dynamo graph deployments: conversions that lose nothing, malformed graphs that are refused with reasons."""

from __future__ import annotations

import copy

from grove_operator.api.core_schemas import as_stored
from grove_operator.api.defaults import default_dynamographdeployment, default_podcliqueset
from grove_operator.api.dynamo_conversion import ALPHA, BETA, as_version, without_nulls
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamographdeployment_v1beta1 import DynamoGraphDeploymentV1beta1
from grove_operator.api.kinds import Json
from grove_operator.api.structural import schema_of
from grove_operator.api.validation import validate_dynamographdeployment, validate_podcliqueset
from grove_operator.dynamo.mapping import children
from tests.prove.proof import Figures, Progress, Proof
from tests.unit.dynamo.conversions import graph
from tests.unit.dynamo.malformed import malformed

OTHER = {ALPHA: BETA, BETA: ALPHA}


def conversions(seed: int, count: int, progress: Progress) -> Figures:
    """Half of the graphs begin in each version. Every one comes back equal, and goes again to the same."""
    noted = 0
    for i in range(count):
        version = ALPHA if i % 2 else BETA
        obj = graph(version, seed + i)
        given = copy.deepcopy(obj)
        there = as_version(obj, OTHER[version])
        assert obj == given, f"seed {seed + i}: the given graph was changed"
        back = as_version(there, version)
        assert back == obj, f"seed {seed + i}: lost from {version}: {obj} came back as {back}"
        assert as_version(back, OTHER[version]) == there, f"seed {seed + i}: the second conversion differs"
        noted += there["metadata"] != obj["metadata"]
        progress(1)
    return {"round_trips": count, "with_notes": noted}


def refusals(seed: int, count: int, progress: Progress) -> Figures:
    """A graph is refused, every fault with fact and remedy; or it becomes a PodCliqueSet that Grove's rules take."""
    refused = faults = 0
    for i in range(count):
        story, obj = malformed(seed + i)
        found = faults_of(obj)
        for fault in found:
            assert fault.message, f"seed {seed + i}: {story}: a fault of {fault.field} without a fact"
            assert fault.remedy, f"seed {seed + i}: {story}: {fault.field}: {fault.message} has no remedy"
        if found:
            refused, faults = refused + 1, faults + len(found)
        else:
            later = _refused_later(obj)
            assert not later, f"seed {seed + i}: {story}: admitted, but its PodCliqueSet is refused: {later}"
        progress(1)
    return {"refused": refused, "harmless": count - refused, "faults": faults}


def faults_of(obj: Json) -> list[object]:
    """What the API server and admission say to it."""
    filled = default_dynamographdeployment(obj) if obj.get("apiVersion") == ALPHA else obj
    return list(validate_dynamographdeployment(filled))  # type: ignore[arg-type]


def _refused_later(obj: Json) -> list[str]:
    """Faults of what an admitted graph becomes, as the API server stores the graph."""
    model = DynamoGraphDeployment if obj.get("apiVersion") == ALPHA else DynamoGraphDeploymentV1beta1
    stored = without_nulls(obj)
    stored["spec"] = as_stored(schema_of(model)["properties"]["spec"], stored["spec"])
    pcs = next(child for child in children(stored) if child["kind"] == "PodCliqueSet")
    return list(map(str, validate_podcliqueset(default_podcliqueset(pcs, with_schema_defaults=True))))


def proofs() -> list[Proof]:
    return [
        Proof("conversions", "Conversions between v1alpha1 and v1beta1 lose nothing.", conversions, 20_000, 2_000, 2),
        Proof("refusals", "Malformed graphs are refused with reasons, at admission.", refusals, 5_000, 500, 2),
    ]
