"""Secrets and unknowns by path, and the shape that objects are kept in."""

from __future__ import annotations

import base64

import pytest
from google.protobuf.struct_pb2 import Struct

from standin_provider.errors import Unmodelled
from standin_provider.objects import canonical_quantity, checkpoint, from_api, normalise, to_api
from standin_provider.wire import SECRET, SIGNATURE, Tree, decode, encode, redact, secret_texts, show

TOKEN = "canary-secret-value"


def as_struct(value: dict[str, object]) -> Struct:
    struct = Struct()
    struct.update(value)
    return struct


def secret(value: object) -> dict[str, object]:
    return {SIGNATURE: SECRET, "value": value}


def test_a_secret_leaf_is_a_path_and_comes_back_as_a_secret() -> None:
    wire = as_struct({"spec": {"list": [{"value": secret(TOKEN)}], "n": 3}})
    tree = decode(wire)
    assert tree.value == {"spec": {"list": [{"value": TOKEN}], "n": 3}}
    assert tree.secrets == {("spec", "list", 0, "value")}
    assert encode(tree.value, tree.secrets) == wire


def test_assets_and_resource_references_are_refused_by_name() -> None:
    with pytest.raises(Unmodelled, match=r"resource references at spec\.ref"):
        decode(as_struct({"spec": {"ref": {SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "x"}}}))


def test_unknown_values_are_told_by_path() -> None:
    tree = decode(as_struct({"spec": {"image": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}}))
    assert tree.unknowns == {("spec", "image")}


def test_string_data_becomes_data_and_stays_secret() -> None:
    tree = Tree(
        {"apiVersion": "v1", "kind": "Secret", "stringData": {"token": TOKEN, "user": "u"}},
        frozenset({("stringData", "token")}),
    )
    kept = normalise(tree)
    assert kept.value["data"]["token"] == base64.b64encode(TOKEN.encode()).decode()
    assert "stringData" not in kept.value
    assert kept.secrets == {("data", "token")}


def test_secrets_go_to_the_outputs_and_to_the_kept_inputs() -> None:
    inputs = Tree(
        {"apiVersion": "x/v1", "kind": "X", "spec": {"a": [TOKEN], "b": TOKEN}},
        frozenset({("spec", "a", 0), ("spec", "b")}),
    )
    outputs, secrets = checkpoint(inputs, inputs.value, field_manager="m", initial_api_version="x/v1")
    tree = decode(encode(outputs, secrets))
    assert tree.secrets == {("spec", "a"), ("spec", "b"), ("__inputs", "spec", "a", 0), ("__inputs", "spec", "b")}
    assert secret_texts(tree) == {TOKEN}


def test_the_data_of_a_secret_is_secret_even_if_the_program_did_not_say_so() -> None:
    inputs = Tree({"apiVersion": "v1", "kind": "Secret", "data": {"k": "dg=="}})
    outputs, secrets = checkpoint(inputs, inputs.value, field_manager="m", initial_api_version="v1")
    assert {("data",), ("__inputs", "data")} <= decode(encode(outputs, secrets)).secrets


def test_messages_lose_every_secret_text_in_plain_and_in_base64() -> None:
    tree = Tree({"apiVersion": "v1", "kind": "Secret", "stringData": {"t": TOKEN}}, frozenset({("stringData", "t")}))
    texts = secret_texts(tree) | secret_texts(normalise(tree))
    encoded = base64.b64encode(TOKEN.encode()).decode()
    assert redact(f"invalid {TOKEN} or {encoded}", texts) == "invalid [secret] or [secret]"


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (2, "2"),
        ("1024Mi", "1Gi"),
        ("1Gi", "1Gi"),
        ("1500m", "1500m"),
        ("1e3", "1k"),
        ("0", "0"),
        ("big", "big"),
    ],
)
def test_quantities_become_canonical(given: object, canonical: str) -> None:
    assert canonical_quantity(given) == canonical


def test_schema_extensions_lose_their_dashes_in_outputs_and_get_them_back() -> None:
    schema = {"x-kubernetes-list-map-keys": ["a"], "items": [{"x-kubernetes-validations": []}]}
    assert from_api(schema)["x_kubernetes_list_map_keys"] == ["a"]
    assert to_api(from_api(schema)) == schema


def test_paths_are_written_as_pulumi_writes_them() -> None:
    assert show(("metadata", "annotations", "a.b/c", 0, "x")) == 'metadata.annotations["a.b/c"][0].x'
