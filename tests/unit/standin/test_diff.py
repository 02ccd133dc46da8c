"""What the stand-in calls a difference, and which differences replace."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standin_provider.diff import changes, compare, prune

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": "1"}}
CUSTOM = {"apiVersion": "grove.io/v1alpha1", "kind": "PodCliqueSet", "metadata": {"name": "a"}, "spec": {"replicas": 1}}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_fields_that_the_user_never_set_are_not_drift() -> None:
    live = {**CUSTOM, "spec": {"replicas": 1, "mode": "default"}, "status": {"ready": 1}}
    assert compare(live, CUSTOM, CUSTOM).detailed == {}


def test_list_elements_beyond_the_users_are_not_drift_but_a_changed_one_is() -> None:
    shape = {"ports": [{"port": 1}]}
    assert prune({"ports": [{"port": 1, "protocol": "TCP"}, {"port": 2}]}, shape) == shape
    assert list(changes({"ports": [{"port": 2}]}, shape)) == [(("ports", 0, "port"), "UPDATE")]


def test_an_empty_map_that_the_server_dropped_is_not_drift() -> None:
    given_inputs = {**CUSTOM, "spec": {"replicas": 1, "labels": {}}}
    assert compare(CUSTOM, given_inputs, given_inputs).detailed == {}


def test_a_custom_resource_is_replaced_for_its_name_and_namespace_only() -> None:
    new = {**CUSTOM, "spec": {"replicas": 2}}
    assert compare(CUSTOM, CUSTOM, new).detailed == {"spec.replicas": ("UPDATE", False)}
    renamed = {**CUSTOM, "metadata": {"name": "b"}}
    assert compare(CUSTOM, CUSTOM, renamed).replaces == ["metadata.name"]


def test_changed_data_replaces_a_config_map_and_the_old_one_goes_first_as_the_name_stays() -> None:
    found = compare(CONFIG_MAP, CONFIG_MAP, {**CONFIG_MAP, "data": {"k": "2"}})
    assert (found.replaces, found.delete_before_replace) == (["data.k"], True)


def test_a_made_up_name_lets_the_new_one_come_first() -> None:
    auto = {**CONFIG_MAP, "metadata": {"name": "a-1", "annotations": {"pulumi.com/autonamed": "true"}}}
    found = compare(auto, auto, {**auto, "data": {"k": "2"}})
    assert (found.replaces, found.delete_before_replace) == (["data.k"], False)


def test_mutable_data_is_updated_in_place_unless_the_object_is_immutable() -> None:
    new = {**CONFIG_MAP, "data": {"k": "2"}}
    assert compare(CONFIG_MAP, CONFIG_MAP, new, mutable_data=frozenset({"ConfigMap"})).replaces == []
    frozen = {**new, "immutable": True}
    assert "data.k" in compare(CONFIG_MAP, CONFIG_MAP, frozen, mutable_data=frozenset({"ConfigMap"})).replaces


@pytest.mark.parametrize(
    ("api_version", "kind", "path"),
    [
        ("apps/v1", "Deployment", ("spec", "selector", "matchLabels", "app")),
        ("apps/v1", "StatefulSet", ("spec", "serviceName")),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", ("roleRef", "name")),
        ("v1", "Service", ("spec", "clusterIP")),
        ("v1", "Secret", ("data", "token")),
        ("batch/v1", "Job", ("spec", "template", "spec", "image")),
    ],
)
def test_what_the_api_server_would_refuse_to_change_replaces(
    api_version: str, kind: str, path: tuple[str, ...]
) -> None:
    def build(value: str) -> dict[str, object]:
        inner: object = value
        for key in reversed(path):
            inner = {key: inner}
        assert isinstance(inner, dict)
        return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **inner}

    assert compare(build("x"), build("x"), build("y")).replaces == [".".join(path)]


def test_a_whole_block_that_appears_replaces_if_it_brings_a_replacing_field() -> None:
    old = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert compare(old, old, {**old, "data": {"k": "1"}}).detailed == {"data": ("ADD", True)}


@settings(max_examples=60, deadline=None)
@given(JSON_VALUES)
def test_nothing_differs_from_itself(value: object) -> None:
    assert list(changes(value, value)) == []
    assert prune(value, value) == value


@settings(max_examples=60, deadline=None)
@given(JSON_VALUES, JSON_VALUES)
def test_a_difference_is_found_exactly_when_there_is_one(old: object, new: object) -> None:
    import json

    assert bool(list(changes(old, new))) == (json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True))
