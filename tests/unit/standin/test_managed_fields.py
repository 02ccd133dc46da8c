"""Fields that other managers own: handed over from client-side managers, left alone where `ignoreChanges` says so."""

from __future__ import annotations

from typing import Any

import pytest

from standin_provider.managed_fields import handed_over, needs_force_in_preview, without_ignored

ENTRY = {"apiVersion": "v1", "fieldsType": "FieldsV1"}
OURS = "pulumi-kubernetes-1"


def scaled(manager: str, path: tuple[str, ...] = ("spec", "replicas")) -> dict[str, Any]:
    """A live object whose replicas (5) that manager set."""
    fields: dict[str, Any] = {}
    for part in reversed(path):
        fields = {f"f:{part}": fields}
    entries = [{**ENTRY, "manager": manager, "operation": "Update", "subresource": "scale", "fieldsV1": fields}]
    live: Any = 5
    for part in reversed(path):
        live = {part: live}
    return {**live, "metadata": {"managedFields": entries}}


def test_fields_of_client_side_managers_go_to_the_applying_one_and_status_stays() -> None:
    live = {
        "metadata": {
            "managedFields": [
                {**ENTRY, "manager": "pulumi-kubernetes", "operation": "Update", "fieldsV1": {"f:spec": {"f:a": {}}}},
                {**ENTRY, "manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:b": {}}}},
                {**ENTRY, "manager": "controller", "operation": "Update", "subresource": "status", "fieldsV1": {}},
            ]
        }
    }
    assert needs_force_in_preview(live)
    entries = handed_over(live, OURS)
    assert entries is not None
    assert [(e["manager"], e["operation"]) for e in entries] == [("controller", "Update"), (OURS, "Apply")]
    assert entries[1]["fieldsV1"] == {"f:spec": {"f:a": {}, "f:b": {}}}
    assert handed_over({"metadata": {"managedFields": entries}}, OURS) is None


def test_an_ignored_field_of_another_manager_is_left_out_of_the_apply() -> None:
    body = {"spec": {"replicas": 2, "template": {}}}
    assert without_ignored(body, scaled("autoscaler"), OURS, ["spec.replicas"]) == {"spec": {"template": {}}}
    assert body["spec"]["replicas"] == 2


def test_an_ignored_field_of_ours_is_sent_as_it_is_live() -> None:
    assert without_ignored({"spec": {"replicas": 2}}, scaled(OURS), OURS, ["spec.replicas"]) == {
        "spec": {"replicas": 5}
    }


def test_a_quoted_key_is_understood_where_it_needs_no_quotes() -> None:
    live = scaled("autoscaler", ("spec", "services", "Decode", "replicas"))
    body = {"spec": {"services": {"Decode": {"replicas": 2}}}}
    assert without_ignored(body, live, OURS, ['spec.services["Decode"].replicas']) == {
        "spec": {"services": {"Decode": {}}}
    }


@pytest.mark.parametrize("path", ['spec.services["de-code"].replicas', "spec.list[0].replicas"])
def test_other_paths_are_passed_over_as_in_the_official_provider(path: str) -> None:
    body = {"spec": {"services": {"de-code": {"replicas": 2}}, "list": [{"replicas": 2}]}}
    live = scaled("autoscaler", ("spec", "services", "de-code", "replicas"))
    assert without_ignored(body, live, OURS, [path]) == body
