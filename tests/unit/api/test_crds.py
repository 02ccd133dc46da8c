"""CRDs are generated, committed, and the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grove_operator.api.crds import DEFINITIONS, Definition, all_crds, crd_files, stale_crds, write_crds
from grove_operator.api.kinds import Json
from grove_operator.api.reference import reference
from grove_operator.api.structural import structural_schema

COMMITTED = Path(__file__).parents[3] / "operator" / "crds"


def schema(plural: str) -> Json:
    (found,) = [crd for crd in all_crds() if crd["spec"]["names"]["plural"] == plural]
    root: Json = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def at(plural: str, place: str) -> Json:
    node = schema(plural)
    for part in place.split("."):
        if part == "*":
            node = node["additionalProperties"]
        else:
            node = node["items"] if part == "[]" else node["properties"][part]
    return node


def nodes(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def test_the_committed_files_are_what_the_models_generate() -> None:
    assert stale_crds(COMMITTED) == []


def test_the_reference_page_is_what_the_models_say() -> None:
    """`grove crds --reference > docs/api-reference.md` brings it up to date."""
    page = (COMMITTED.parents[1] / "docs" / "api-reference.md").read_text()
    assert page == reference()
    assert page.count("\n## ") == len(DEFINITIONS)
    assert "| **spec.template.cliques[].name** | string |" in page


def test_a_stale_folder_is_noticed_and_repaired(tmp_path: Path) -> None:
    assert len(write_crds(tmp_path)) == len(DEFINITIONS)
    (tmp_path / "grove.io_podcliques.yaml").unlink()
    (tmp_path / "grove.io_former.yaml").write_text("x: 1\n")
    with (tmp_path / "grove.io_podcliquesets.yaml").open("a") as file:
        file.write("# edited\n")
    assert stale_crds(tmp_path) == [
        "grove.io_podcliques.yaml: missing",
        "grove.io_former.yaml: no model generates it",
        "grove.io_podcliquesets.yaml: differs from the models",
    ]
    assert len(write_crds(tmp_path)) == 3
    assert stale_crds(tmp_path) == []
    assert write_crds(tmp_path) == []


@pytest.mark.parametrize("crd", all_crds(), ids=lambda crd: crd["metadata"]["name"])
def test_schemas_are_structural_and_described(crd: Json) -> None:
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for node in nodes(root):
        assert "$ref" not in node
        assert node.get("additionalProperties") is not False
        for name, below in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            assert "type" in below or below.get("x-kubernetes-int-or-string"), name
            assert below.get("default", 0) is not None, name


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind.plural)
def test_every_field_of_our_own_is_described(definition: Definition) -> None:
    for node in nodes(structural_schema(definition.model, embed=False)):
        for name, below in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            assert below.get("description") or name == "metadata", name


@pytest.mark.parametrize(("name", "content"), crd_files(), ids=lambda part: part[:40])
def test_a_crd_file_stays_small(name: str, content: str) -> None:
    assert len(content.encode()) < 500_000, name


@pytest.mark.parametrize(
    ("plural", "place", "expected"),
    [
        ("podcliquesets", "spec.replicas", {"default": 0, "format": "int32"}),
        ("podcliquesets", "spec.template.cliqueStartupType", {"default": "CliqueStartupTypeAnyOrder"}),
        ("podcliquesets", "spec.template.cliques", {"x-kubernetes-list-map-keys": ["name"]}),
        ("podcliquesets", "spec.template.cliques.[].spec.podSpec", {"required": ["containers"]}),
        ("podcliques", "spec.podSpec.containers", {"x-kubernetes-list-map-keys": ["name"]}),
        ("dynamographdeployments", "spec.services.*.extraPodSpec.mainContainer", {"type": "object"}),
        ("podcliquesets", "spec.template.podCliqueScalingGroups.[].minAvailable", {"default": 1}),
        ("podcliquesets", "spec.template.topologyConstraint.pack.required", {"maxLength": 63, "minLength": 1}),
        ("podcliquesets", "status.conditions", {"x-kubernetes-list-map-keys": ["type"]}),
        ("podcliquescalinggroups", "spec", {"required": ["cliqueNames", "replicas"]}),
        ("podcliques", "spec", {"required": ["podSpec", "replicas", "roleName"]}),
        ("podgangs", "spec", {"required": ["podgroups"]}),
        ("podgangs", "status", {"required": ["phase"]}),
        ("clustertopologybindings", "spec.levels", {"minItems": 1, "x-kubernetes-list-type": "atomic"}),
        ("dynamographdeployments", "spec.services", {"maxProperties": 25, "type": "object"}),
        ("dynamographdeployments", "spec.backendFramework", {"enum": ["sglang", "vllm", "trtllm"]}),
        ("dynamographdeployments", "status.state", {"default": "initializing"}),
    ],
)
def test_these_parts_of_the_contract_are_in_the_schema(plural: str, place: str, expected: Json) -> None:
    node = at(plural, place)
    assert {key: node.get(key) for key in expected} == expected
