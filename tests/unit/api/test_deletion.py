"""The operator isn't deleted from under its PodCliqueSets."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.deletion import rule_on_deletion
from grove_operator.api.install import InstallOptions, install_manifests, webhook_configurations

DEPLOYMENT: dict[str, Any] = {
    "kind": {"kind": "Deployment"},
    "namespace": "grove-system",
    "name": "grove-operator",
    "oldObject": {"metadata": {"name": "grove-operator"}},
}
NAMESPACE: dict[str, Any] = {"kind": {"kind": "Namespace"}, "namespace": "grove-system", "name": "grove-system"}


@pytest.mark.parametrize(
    ("request_", "named"),
    [(DEPLOYMENT, "deployment grove-system/grove-operator"), (NAMESPACE, "namespace grove-system can't")],
)
def test_it_stays_while_sets_exist_and_they_are_named(request_: dict[str, Any], named: str) -> None:
    ruling = rule_on_deletion(request_, ["b/rank", "a/web"])
    assert not ruling.is_allowed
    assert named in ruling.message
    assert "looks after 2 PodCliqueSets: a/web, b/rank;" in ruling.message
    assert 'grove.io/force-deletion: "true"' in ruling.message


def test_many_sets_are_a_few_names_and_a_number() -> None:
    said = rule_on_deletion(DEPLOYMENT, [f"n/s{i}" for i in range(8)]).message
    assert "8 PodCliqueSets: n/s0, n/s1, n/s2, n/s3, n/s4 and 3 more;" in said


def test_it_goes_when_no_set_is_left_or_when_told_so_by_annotation() -> None:
    assert rule_on_deletion(DEPLOYMENT, []).is_allowed
    forced = {"metadata": {"annotations": {"grove.io/force-deletion": "true"}}}
    assert rule_on_deletion({**DEPLOYMENT, "oldObject": forced}, ["a/web"]).is_allowed


def test_force_puts_the_annotation_on_deployment_and_namespace_and_nowhere_else() -> None:
    def annotated(*, force: bool) -> set[tuple[str, str]]:
        return {
            (m["kind"], m["metadata"]["name"])
            for m in install_manifests(InstallOptions(force=force))
            if "grove.io/force-deletion" in m["metadata"].get("annotations", {})
        }

    assert annotated(force=True) == {("Deployment", "grove-operator"), ("Namespace", "grove-system")}
    assert annotated(force=False) == set()


def test_an_operator_that_is_down_does_not_block_its_own_removal() -> None:
    (guard,) = [c for c in webhook_configurations() if c["metadata"]["name"] == "operator-deletion-webhook"]
    (webhook,) = guard["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    asked = {(r, o) for rule in webhook["rules"] for r in rule["resources"] for o in rule["operations"]}
    assert asked == {("deployments", "DELETE"), ("namespaces", "DELETE")}
    (condition,) = webhook["matchConditions"]
    assert "'grove-operator'" in condition["expression"]
