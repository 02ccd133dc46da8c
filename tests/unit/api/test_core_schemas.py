"""Kubernetes' own types inside our objects: schema in the CRD, freedom in the model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from grove_operator.api.core_schemas import as_stored, core_schema, unknown_fields
from grove_operator.api.crds import all_crds
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.schema import to_json
from grove_operator.api.validation import pruned_fields, validate_schema

POD = core_schema("PodSpec")


def a_set(pod_spec: dict[str, Any]) -> dict[str, Any]:
    clique = {"name": "a", "spec": {"roleName": "a", "replicas": 1, "podSpec": pod_spec}}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {"template": {"cliques": [clique]}},
    }


def every_node(schema: Any) -> list[dict[str, Any]]:
    nodes = [schema] if isinstance(schema, dict) else []
    for child in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        nodes += every_node(child)
    return nodes


def test_every_field_of_a_newer_kubernetes_survives_the_model_and_is_named_as_pruned() -> None:
    manifest = a_set({"containers": [{"name": "c", "image": "i", "futureField": {"x": 1}}], "novel": True})
    assert to_json(PodCliqueSet.model_validate(manifest)) == manifest
    assert validate_schema(manifest) == []
    where = "spec.template.cliques[0].spec.podSpec"
    assert pruned_fields(manifest) == [f"{where}.containers[0].futureField", f"{where}.novel"]


def test_an_unknown_field_of_our_own_is_a_fault_and_not_a_warning() -> None:
    manifest = a_set({"containers": []})
    manifest["spec"]["template"]["cliques"][0]["replica"] = 1
    assert [fault.field for fault in validate_schema(manifest) or ()] == ["spec.template.cliques[0].replica"]
    assert pruned_fields(manifest) == []


@pytest.mark.parametrize("crd", all_crds(), ids=lambda crd: str(crd["metadata"]["name"]))
def test_keys_of_list_maps_are_required_or_have_a_default(crd: dict[str, Any]) -> None:
    for node in every_node(crd["spec"]):
        if node.get("x-kubernetes-list-type") == "map":
            items = node["items"]
            for key in node["x-kubernetes-list-map-keys"]:
                assert key in items.get("required", ()) or "default" in items["properties"][key]


def test_the_only_default_inside_a_pod_spec_is_the_protocol_that_list_keys_need() -> None:
    assert {node["default"] for node in every_node(POD) if "default" in node} == {"TCP"}


def test_quantities_and_ports_may_be_numbers_or_strings() -> None:
    container = POD["properties"]["containers"]["items"]["properties"]
    assert container["resources"]["properties"]["limits"]["additionalProperties"] == {
        "x-kubernetes-int-or-string": True
    }
    port = container["livenessProbe"]["properties"]["httpGet"]["properties"]["port"]
    assert port == {"x-kubernetes-int-or-string": True}


def test_what_is_stored_has_no_unknown_fields_no_nulls_and_its_protocols() -> None:
    written = {
        "containers": [{"name": "c", "ports": [{"containerPort": 1}], "image": None, "nope": 1}],
        "nodeSelector": {"any.key/x": "y"},
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    assert as_stored(POD, written) == {
        "containers": [{"name": "c", "ports": [{"containerPort": 1, "protocol": "TCP"}]}],
        "nodeSelector": {"any.key/x": "y"},
        "volumes": [{"name": "v", "emptyDir": {}}],
    }


def values(schema: dict[str, Any], depth: int = 4) -> st.SearchStrategy[Any]:
    """Anything that a schema allows, with a few unknown keys thrown in."""
    if "properties" in schema:
        known = {k: values(child, depth - 1) for k, child in list(schema["properties"].items())} if depth else {}
        junk = st.dictionaries(st.sampled_from(["zz", "yy"]), st.integers(), max_size=1)
        return st.builds(lambda some, other: some | other, st.fixed_dictionaries({}, optional=known), junk)
    if "additionalProperties" in schema:
        return st.dictionaries(st.text(min_size=1, max_size=3), values(schema["additionalProperties"], depth - 1))
    if "items" in schema:
        return st.lists(values(schema["items"], depth - 1), max_size=2)
    return st.one_of(st.none(), st.integers(0, 9), st.text(max_size=3))


@seed(3)
@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(values(core_schema("Probe"), 3) | values(core_schema("MetricSpec"), 4))
def test_storing_twice_changes_nothing_and_leaves_nothing_unknown(value: Any) -> None:
    for name in ("Probe", "MetricSpec"):
        schema = core_schema(name)
        stored = as_stored(schema, value)
        assert as_stored(schema, stored) == stored
        assert list(unknown_fields(schema, stored)) == []
