"""`pulumi.com/...` annotations, waitFor expressions, and when kinds are ready."""

from __future__ import annotations

from typing import Any

import pytest

from standin_provider.annotations import read_settings
from standin_provider.errors import ProviderError, Unmodelled
from standin_provider.readiness import readiness_of
from standin_provider.waitfor import parse_wait


def annotated(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"pulumi.com/{key}": value for key, value in annotations.items()}}}


def test_an_array_of_waits_means_all_of_them() -> None:
    settings = read_settings(annotated(waitFor='["condition=Ready", "jsonpath={.status.n}=2"]'))
    assert [bool(w.unmet({"status": {"n": 2}})) for w in settings.wait_for] == [True, False]


@pytest.mark.parametrize("text", ["ready", "condition", "jsonpath=", "[]", '["a", 1]', "[oops"])
def test_a_wait_that_the_official_provider_refuses_is_refused(text: str) -> None:
    with pytest.raises(ProviderError, match="waitFor"):
        read_settings(annotated(waitFor=text))


@pytest.mark.parametrize("text", ["jsonpath={.a[*].b}", "jsonpath={..a}", "jsonpath={.a[0:2]}"])
def test_a_json_path_beyond_the_modelled_part_says_so(text: str) -> None:
    with pytest.raises(Unmodelled, match="JSONPath"):
        parse_wait(text)


@pytest.mark.parametrize(
    ("text", "live", "met"),
    [
        ("condition=Ready", {"status": {"conditions": [{"type": "ready", "status": "true"}]}}, True),
        ("condition=Ready=False", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, True),
        ("condition=Ready", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, False),
        ("jsonpath=.status.phase=Running", {"status": {"phase": "Running"}}, True),
        ("jsonpath={.status.phase}=Running", {"status": {"phase": "Pending"}}, False),
        ("jsonpath={$.status.phase}", {"status": {"phase": "any"}}, True),
        ("jsonpath={.status.phase}", {}, False),
        ("jsonpath={.status.up}=true", {"status": {"up": True}}, True),
        (
            'jsonpath={.status.c[?(@.type=="A")].status}=True',
            {"status": {"c": [{"type": "A", "status": "True"}]}},
            True,
        ),
        ("jsonpath={.status.list[0]['a.b']}=x", {"status": {"list": [{"a.b": "x"}]}}, True),
    ],
)
def test_waits_read_the_live_object(text: str, live: dict[str, Any], met: bool) -> None:
    assert (parse_wait(text).unmet(live) == "") is met


def test_a_status_of_an_older_generation_holds_both_forms_back() -> None:
    live = {
        "metadata": {"generation": 2},
        "status": {"observedGeneration": 1, "n": 1, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert "generation 1" in parse_wait("jsonpath={.status.n}=1").unmet(live)
    assert "generation 1" in parse_wait("condition=Ready").unmet(live)


@pytest.mark.parametrize("key", ["replaceUnready", "somethingNew"])
def test_an_annotation_that_is_not_modelled_raises(key: str) -> None:
    with pytest.raises(Unmodelled, match=key):
        read_settings(annotated(**{key: "true"}))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"skipAwait": "yes"}, "true or false"),
        ({"timeoutSeconds": "soon"}, "positive number"),
        ({"deletionPropagationPolicy": "sideways"}, "foreground, background, orphan"),
    ],
)
def test_bad_values_are_named(annotations: dict[str, str], message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        read_settings(annotated(**annotations))


def test_custom_timeouts_win_over_the_annotation_which_wins_over_ten_minutes() -> None:
    assert read_settings(annotated(timeoutSeconds="30"), 5.0).timeout_s == 5.0
    assert read_settings(annotated(timeoutSeconds="30")).timeout_s == 30.0
    assert read_settings({}).timeout_s == 600.0


def deployment(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"generation": 2},
        "spec": {"replicas": 2},
        "status": status,
    }


def test_a_deployment_is_ready_when_all_replicas_are_new_and_available() -> None:
    check = readiness_of(deployment())
    assert check is not None
    assert "latest spec" in check(deployment(observedGeneration=1))
    assert check(deployment(observedGeneration=2, updatedReplicas=1)) == "1 of 2 replicas updated"
    assert "old replicas" in check(deployment(observedGeneration=2, updatedReplicas=2, replicas=3))
    assert (
        check(deployment(observedGeneration=2, updatedReplicas=2, replicas=2, availableReplicas=1))
        == "1 of 2 replicas available"
    )
    assert check(deployment(observedGeneration=2, updatedReplicas=2, replicas=2, availableReplicas=2)) == ""


def test_plain_data_custom_resources_and_external_services_are_ready_at_once() -> None:
    for obj in (
        {"apiVersion": "v1", "kind": "ConfigMap"},
        {"apiVersion": "grove.io/v1alpha1", "kind": "PodCliqueSet"},
        {"apiVersion": "v1", "kind": "Service", "spec": {"type": "ExternalName", "externalName": "localhost"}},
    ):
        assert readiness_of(obj) is None


def test_a_quota_is_ready_when_its_controller_counts_what_is_written() -> None:
    written = {"requests.nvidia.com/gpu": "16", "pods": "50"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": written}}
    check = readiness_of(quota)
    assert check is not None
    assert check(quota) == "its controller does not count pods, requests.nvidia.com/gpu yet"
    assert "requests.nvidia.com/gpu" in check(
        {**quota, "status": {"hard": {**written, "requests.nvidia.com/gpu": "8"}}}
    )
    assert check({**quota, "status": {"hard": written}}) == ""


def test_a_kind_whose_waiting_is_not_modelled_raises() -> None:
    with pytest.raises(Unmodelled, match="Ingress"):
        readiness_of({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"})
