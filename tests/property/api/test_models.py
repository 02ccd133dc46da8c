"""Models and defaults over arbitrary valid objects, drawn from the generated schemas themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from grove_operator.api.crds import DEFINITIONS, Definition
from grove_operator.api.defaults import default_dynamographdeployment, default_podcliqueset, schema_defaults
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.faults import parse
from grove_operator.api.kinds import Json
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.schema import to_json, with_defaults
from grove_operator.api.structural import structural_schema

WORDS = st.sampled_from(["a", "rack", "x1"])
SAMPLES = settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
PATTERNED = {"^[-+]?(0|": st.sampled_from(["4h", "1m30s", "250ms"]), "^(\\+|-)?((": st.sampled_from(["1Gi", "500m", 2])}


def values(schema: Json) -> st.SearchStrategy[Any]:
    """Objects that a structural schema admits (as far as our schemas go)."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return st.dictionaries(WORDS, st.one_of(st.none(), st.integers(0, 3), WORDS, st.lists(WORDS, max_size=2)))
    for start, strategy in PATTERNED.items():
        if schema.get("pattern", "").startswith(start):
            return strategy
    match schema["type"]:
        case "string":
            return WORDS
        case "boolean":
            return st.booleans()
        case "integer":
            low = schema.get("minimum", 0)
            return st.integers(low, schema.get("maximum", low + 5))
        case "number":
            return st.floats(0, 1)
        case "array":
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=2)
    if "additionalProperties" in schema:
        return st.dictionaries(WORDS, values(schema["additionalProperties"]), max_size=2)
    properties = {name: values(below) for name, below in schema["properties"].items()}
    required = {name: properties.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=properties)


def objects(definition: Definition) -> st.SearchStrategy[Json]:
    schema = structural_schema(definition.model, embed=False)
    schema["properties"]["metadata"] = {"type": "object", "additionalProperties": {"type": "string"}}
    return values(schema)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind.plural)
def test_every_object_of_the_schema_survives_the_model_unchanged(definition: Definition) -> None:
    @seed(3)
    @SAMPLES
    @given(objects(definition))
    def holds(obj: Json) -> None:
        model, faults = parse(definition.model, obj)
        assert faults == []
        assert model is not None
        assert to_json(model) == obj

    holds()


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind.plural)
def test_model_and_schema_agree_on_the_defaults(definition: Definition) -> None:
    @seed(3)
    @SAMPLES
    @given(objects(definition))
    def holds(obj: Json) -> None:
        once = schema_defaults(definition.model, obj, embed=False)
        assert schema_defaults(definition.model, once, embed=False) == once
        assert with_defaults(definition.model.model_validate(obj)) == {"metadata": {}} | once

    holds()


@pytest.mark.parametrize(
    ("model", "fill"),
    [(PodCliqueSet, default_podcliqueset), (DynamoGraphDeployment, default_dynamographdeployment)],
)
def test_defaulting_twice_is_defaulting_once(model: Any, fill: Any) -> None:
    (definition,) = [d for d in DEFINITIONS if d.model is model]

    @seed(3)
    @SAMPLES
    @given(objects(definition))
    def holds(obj: Json) -> None:
        once = fill(obj, with_schema_defaults=True)
        assert fill(once, with_schema_defaults=True) == once
        assert parse(model, once)[1] == []

    holds()
