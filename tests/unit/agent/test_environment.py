"""Environment and command line of real containers."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.localcluster.agent.environment import (
    ConfigError,
    command_line,
    container_environment,
    expand,
    field_value,
)
from grove_operator.localcluster.agent.processes import Mount, remap
from grove_operator.localcluster.fleet import Image

Json = dict[str, Any]
POD: Json = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x"}},
    "spec": {"nodeName": "node-a", "containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}}]},
}
DATA = {("Secret", "s"): {"TOKEN": "t"}, ("ConfigMap", "m"): {"k": "v"}}


def environment(**container: Any) -> dict[str, str]:
    spec = {**POD["spec"]["containers"][0], **container}
    return container_environment(POD, spec, {"status": {}}, "127.1.1.1", lambda kind, name: DATA.get((kind, name)))


def test_environment_comes_from_values_fields_resources_secrets_and_maps() -> None:
    env: list[Json] = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(NOPE)-$$(A)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MILLI", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k", "optional": True}}},
    ]
    assert environment(envFrom=[{"prefix": "S_", "secretRef": {"name": "s"}}], env=env) == {
        "S_TOKEN": "t",
        "A": "1",
        "B": "1-$(NOPE)-$(A)",
        "IP": "127.1.1.1",
        "APP": "x",
        "CPU": "2",
        "MILLI": "1500",
        "K": "v",
    }


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"secretKeyRef": {"name": "absent", "key": "k"}}, 'secret "absent" not found'),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, 'couldn\'t find key k in secret "s"'),
        ({"fieldRef": {"fieldPath": "spec.colour"}}, "spec.colour is not supported"),
    ],
)
def test_a_missing_source_is_a_config_error(source: Json, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace('"', ".")):
        environment(env=[{"name": "X", "valueFrom": source}])


def test_labels_as_a_whole_are_quoted_lines() -> None:
    assert field_value(POD, "", "metadata.labels") == 'app="x"'


def test_expand_leaves_unknown_names() -> None:
    assert expand("$(A) $(B)", {"A": "1"}) == "1 $(B)"


def test_the_program_name_is_dropped_and_arguments_are_passed_on() -> None:
    image = Image(match="i", run=["python", "-m", "mod", "${ARGS}", "--ip=${POD_IP}"])
    container = {"command": ["grove-operator", "-v"], "args": ["--config", "$(FILE)"]}
    line = command_line(container, image, {"FILE": "f"}, "127.1.1.1")
    assert line == ["python", "-m", "mod", "-v", "--config", "f", "--ip=127.1.1.1"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/etc/conf/config.yaml", "/state/v/config.yaml"),
        ("--config=/etc/conf/config.yaml", "--config=/state/v/config.yaml"),
        ("/etc/configuration", "/etc/configuration"),
        ("/x/etc/conf", "/x/etc/conf"),
    ],
)
def test_without_mounts_known_paths_are_remapped(word: str, expected: str) -> None:
    assert remap(word, [Mount("/state/v", "/etc/conf")]) == expected
