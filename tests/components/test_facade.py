"""The façade for other languages: its inferred schema is public API, so every change of it shows in a review."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pulumi
import pytest
import yaml

from grove_components import InvalidInputError
from grove_components.resources import whole_numbers
from tests.components.collect import collect
from tests.components.test_shapes import SPECS

PLUGIN = Path(__file__).parents[2] / "plugin"


@pytest.fixture(scope="module")
def facade() -> Iterator[ModuleType]:
    """The plugin's own module, imported as its host does: with the plugin's folder first on the path."""
    sys.path.insert(0, str(PLUGIN))
    try:
        import facade

        yield facade
    finally:
        sys.path.remove(str(PLUGIN))
        sys.modules.pop("facade", None)


def test_the_schema_is_the_one_that_was_reviewed(facade: ModuleType) -> None:
    from pulumi.provider.experimental.analyzer import Analyzer
    from pulumi.provider.experimental.schema import generate_schema

    found = Analyzer("grove-components").analyze(facade.COMPONENTS)
    definitions, types = found["component_definitions"], found["type_definitions"]
    schema = generate_schema("grove-components", "0.0.0", None, definitions, types, list(found["dependencies"]))
    text = json.dumps(schema.to_json(), indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        (PLUGIN / "schema.json").write_text(text)
    assert text == (PLUGIN / "schema.json").read_text()


def test_the_manifest_names_the_package_that_the_types_carry(facade: ModuleType) -> None:
    manifest = yaml.safe_load((PLUGIN / "PulumiPlugin.yaml").read_text())
    assert manifest["name"] == "grove-components"
    assert manifest["runtime"]["name"] == "python"


def test_a_set_from_another_language_is_registered_like_one_from_python(facade: ModuleType) -> None:
    """There every number is a float, and the arguments are a dictionary."""
    from grove_components import PodCliqueSet

    floats = json.loads(json.dumps(SPECS["leader_worker"]), parse_int=float)
    args = {"namespace": "n", "spec": floats, "on_immutable_change": "replace"}
    there = collect(lambda: facade.PodCliqueSet("web", args) and None)
    here = collect(
        lambda: PodCliqueSet("web", namespace="n", spec=SPECS["leader_worker"], on_immutable_change="replace") and None
    )
    assert there.registrations == here.registrations


async def test_whole_numbers_leave_fractions_truth_values_and_outputs_alone() -> None:
    output = pulumi.Output.from_input(1)
    value: dict[str, Any] = {"a": 3.0, "b": [1.5, True, {"c": 2.0}], "d": output, "e": "1.0"}
    found = whole_numbers(value)
    assert found.pop("d") is output
    assert found == {"a": 3, "b": [1.5, True, {"c": 2}], "e": "1.0"}
    assert isinstance(found["a"], int)
    assert found["b"][1] is True


@pytest.mark.parametrize(
    ("component", "args", "expected"),
    [
        ("PodCliqueSet", {"spec": {}, "wait": "ready"}, "wait: 'ready' is unknown; use one of available, updated"),
        ("ClusterTopology", {}, "exactly one of preset and levels"),
        ("ClusterTopology", {"preset": "azure"}, "topology preset 'azure' is unknown"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(
    facade: ModuleType, component: str, args: dict[str, Any], expected: str
) -> None:
    def program() -> None:
        with pytest.raises(InvalidInputError, match=expected):
            getattr(facade, component)("x", args)

    assert collect(program).registrations == []
