"""Two spellings of one pod spec are equal; two pod specs that differ in anything that a container notices are not."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.core.canonical import canonical_pod_spec, quantity

SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"hostNetwork": False}, {}),
    ({"volumes": []}, {}),
    ({"securityContext": {}}, {"securityContext": None}),
    ({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst"}, {}),
    ({"schedulingGates": [{"name": "x"}]}, {}),
    (
        {"containers": [{"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]},
        {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}]},
    ),
    (
        {"containers": [{"name": "a", "env": [{"name": "GROVE_PCSG_NAME", "value": "g"}, {"name": "B", "value": ""}]}]},
        {"containers": [{"name": "a", "env": [{"name": "B"}]}]},
    ),
    (
        {
            "containers": [
                {"name": "a", "livenessProbe": {"httpGet": {"port": 1, "scheme": "HTTP"}, "periodSeconds": 10}}
            ]
        },
        {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": 1}, "timeoutSeconds": 1}}]},
    ),
    (
        {"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {}}]},
        {"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]},
    ),
    (
        {"volumes": [{"name": "v", "configMap": {"name": "c", "defaultMode": 420}}]},
        {"volumes": [{"name": "v", "configMap": {"name": "c"}}]},
    ),
]
DIFFERENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"automountServiceAccountToken": False}, {}),
    ({"terminationGracePeriodSeconds": 0}, {}),
    ({"hostNetwork": True}, {}),
    ({"securityContext": {"runAsUser": 0}}, {}),
    ({"restartPolicy": "Never"}, {}),
    ({"containers": [{"name": "a", "image": "x"}]}, {"containers": [{"name": "a", "image": "y"}]}),
    ({"containers": [{"name": "a", "args": ["1"]}]}, {"containers": [{"name": "a"}]}),
    ({"containers": [{"name": "a", "env": [{"name": "B"}]}]}, {"containers": [{"name": "a"}]}),
    ({"containers": [{"name": "a", "command": ["x", ""]}]}, {"containers": [{"name": "a", "command": ["x"]}]}),
    ({"containers": [{"name": "a"}, {"name": "b"}]}, {"containers": [{"name": "b"}, {"name": "a"}]}),
    (
        {"containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": 1}}}]},
        {"containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]},
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_the_same_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical_pod_spec(one) == canonical_pod_spec(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_a_container_would_notice_is_different(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical_pod_spec(one) != canonical_pod_spec(other)


@pytest.mark.parametrize(("text", "other"), [("500m", 0.5), ("1Ki", 1024), ("1e3", "1k"), ("0", 0), ("2Gi", "2048Mi")])
def test_quantities_are_compared_by_value(text: str, other: object) -> None:
    assert quantity(text) == quantity(other)
    assert quantity(text) != quantity("7")


def test_what_is_no_quantity_is_compared_as_it_is_written() -> None:
    assert quantity("many") == "many"
