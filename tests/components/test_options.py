"""Every option of a component or of the operator's section does what it says, and nothing is an option in name only."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from grove_components import ClusterTopology, DynamoGraphDeployment, GroveCrds, GroveOperator, PodCliqueSet
from grove_components.config import OperatorConfig
from grove_components.stack_objects import install_options
from grove_operator.api.install import InstallOptions, install_manifests
from tests.components.collect import Run, collect
from tests.components.test_stack import SPEC

GRAPH: dict[str, Any] = {
    "services": {"Frontend": {"componentType": "frontend", "extraPodSpec": {"mainContainer": {"image": "i"}}}}
}
OTHER: dict[str, Any] = {
    "namespace": "elsewhere",
    "image": "registry.example/operator:2",
    "replicas": 2,
    "scheduler_replicas": 3,
    "webhook_port": 19443,
    "health_port": 19444,
    "metrics_port": 19445,
    "scheduler_health_port": 19446,
    "scheduler_metrics_port": 19447,
    "conversion_port": 19448,
    "service_external_name": "host.example",
    "force": True,
    "config": {"logLevel": "debug"},
}
NOT_INSTALLED = {"install"}
"""It decides whether anything is installed at all."""


@pytest.mark.parametrize("key", sorted(set(OperatorConfig.model_fields) - NOT_INSTALLED))
def test_every_key_of_the_operators_section_reaches_the_installation(key: str) -> None:
    plain = install_manifests(install_options(OperatorConfig()))
    changed = install_manifests(install_options(OperatorConfig(**{key: OTHER[key]})))
    assert changed != plain
    shown = OTHER[key] if isinstance(OTHER[key], int | str) and key != "force" else ""
    assert str(shown) in json.dumps(changed)


def operator(**options: Any) -> Run:
    return collect(lambda: GroveOperator("op", options=InstallOptions(**options)) and None)


def test_the_operator_has_the_names_that_nvidias_chart_has() -> None:
    run = operator()
    deployment = run.named("op-deployment-grove-operator").inputs
    assert deployment["metadata"]["namespace"] == "grove-system"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "manager"
    config = run.named("op-configmap-grove-operator-cm").inputs["data"]["config.yaml"]
    assert "kind: OperatorConfiguration" in config


def test_forced_deletion_is_a_mark_on_the_deployment() -> None:
    def mark(**options: Any) -> Any:
        metadata = operator(**options).named("op-deployment-grove-operator").inputs["metadata"]
        return metadata["annotations"].get("grove.io/force-deletion")

    assert (mark(force=True), mark()) == ("true", None)


def graph(**options: Any) -> dict[str, Any]:
    made = collect(lambda: DynamoGraphDeployment("g", namespace="n", spec=GRAPH, **options) and None)
    return made.named("g", "nvidia.com/v1alpha1").inputs


def test_a_graph_may_have_another_name_annotations_and_no_wait() -> None:
    assert graph()["metadata"] == {
        "name": "g",
        "namespace": "n",
        "annotations": {"pulumi.com/waitFor": "condition=Ready"},
    }
    metadata = graph(object_name="other", annotations={"a": "b"}, wait=False)["metadata"]
    assert metadata == {"name": "other", "namespace": "n", "annotations": {"a": "b"}}


def a_set(**options: Any) -> dict[str, Any]:
    made = collect(lambda: PodCliqueSet("s", namespace="n", spec=SPEC, **options) and None)
    return made.named("s", "grove.io/v1alpha1").inputs["metadata"]


@pytest.mark.parametrize(
    ("wait", "waited_for"),
    [
        ("available", "jsonpath={.status.availableReplicas}=3"),
        ("updated", '["jsonpath={.status.availableReplicas}=3", "jsonpath={.status.updatedReplicas}=3"]'),
        ("none", None),
    ],
)
def test_a_set_is_waited_for_as_asked(wait: Any, waited_for: str | None) -> None:
    assert a_set(wait=wait).get("annotations", {}).get("pulumi.com/waitFor") == waited_for


def test_a_set_may_have_another_name_and_labels() -> None:
    metadata = a_set(object_name="other", labels={"team": "x"})
    assert (metadata["name"], metadata["labels"]) == ("other", {"team": "x"})


def test_a_topology_is_called_default_unless_told_otherwise() -> None:
    def name(**options: Any) -> Any:
        run = collect(lambda: ClusterTopology("t", levels={"rack": "r"}, **options) and None)
        return run.named("t", "grove.io/v1alpha1").inputs["metadata"]["name"]

    assert (name(), name(object_name="other")) == ("default", "other")


def test_the_callers_options_reach_the_children_through_the_component() -> None:
    def program() -> None:
        provider = pulumi.ProviderResource("kubernetes", "mine")
        opts = pulumi.ResourceOptions(providers={"kubernetes": provider}, protect=True)
        PodCliqueSet("s", namespace="n", spec=SPEC, opts=opts)

    child = collect(program).named("s", "grove.io/v1alpha1")
    assert (child.provider, child.protect) == ("mine", True)


def test_what_the_operator_decides_about_a_crds_versions_is_never_written_again() -> None:
    run = collect(lambda: GroveCrds("crds") and None)
    ignored = {r.name.removeprefix("crds-"): r.ignore_changes for r in run.registrations if r.ignore_changes}
    assert set(ignored) == {
        "dynamographdeployments.nvidia.com",
        "dynamographdeploymentscalingadapters.nvidia.com",
    }
    assert set(ignored["dynamographdeployments.nvidia.com"]) == {
        "spec.conversion",
        *(f"spec.versions[{i}].{field}" for i in (0, 1) for field in ("served", "storage")),
    }
