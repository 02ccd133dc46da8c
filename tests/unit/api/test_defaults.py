"""Defaults of schema and webhook."""

from __future__ import annotations

from grove_operator.api.defaults import default_dynamographdeployment, default_podcliqueset
from tests.unit.api.manifests import clique, graph


def bare(*cliques: object, **template: object) -> dict[str, object]:
    return {"metadata": {"name": "web"}, "spec": {"template": {"cliques": list(cliques), **template}}}


def test_the_webhook_fills_what_it_promises_and_leaves_the_schema_defaults_to_the_api_server() -> None:
    template = default_podcliqueset(bare(clique("a", replicas=3)))["spec"]["template"]
    spec = template["cliques"][0]["spec"]
    assert spec["minAvailable"] == 3
    assert (spec["podSpec"]["restartPolicy"], spec["podSpec"]["terminationGracePeriodSeconds"]) == ("Always", 30)
    assert template["terminationDelay"] == "4h"
    assert template["headlessServiceConfig"] == {"publishNotReadyAddresses": True}
    assert "cliqueStartupType" not in template


def test_schema_defaults_are_those_of_the_crd() -> None:
    groups = [{"name": "g", "cliqueNames": ["a"], "scaleConfig": {"maxReplicas": 3}}]
    filled = default_podcliqueset(bare(clique("a"), podCliqueScalingGroups=groups), with_schema_defaults=True)
    template = filled["spec"]["template"]
    assert filled["spec"]["replicas"] == 0
    assert template["cliqueStartupType"] == "CliqueStartupTypeAnyOrder"
    (group,) = template["podCliqueScalingGroups"]
    assert (group["replicas"], group["minAvailable"], group["scaleConfig"]["minReplicas"]) == (1, 1, 1)


def test_minima_come_from_the_defaulted_replicas_not_from_the_submitted_zero() -> None:
    scaled = clique("a", replicas=0, autoScalingConfig={"maxReplicas": 3})
    spec = default_podcliqueset(bare(scaled))["spec"]["template"]["cliques"][0]["spec"]
    assert (spec["replicas"], spec["minAvailable"], spec["autoScalingConfig"]["minReplicas"]) == (1, 1, 1)


def test_what_the_user_set_stays_and_the_given_object_is_not_touched() -> None:
    given = bare(clique("a", replicas=3, minAvailable=1, pod={"restartPolicy": "Never"}), terminationDelay="1m")
    before = repr(given)
    filled = default_podcliqueset(given)["spec"]["template"]
    assert filled["cliques"][0]["spec"]["minAvailable"] == 1
    assert filled["cliques"][0]["spec"]["podSpec"]["restartPolicy"] == "Never"
    assert filled["terminationDelay"] == "1m"
    assert repr(given) == before


def test_malformed_objects_pass_through_for_validation_to_judge() -> None:
    assert default_podcliqueset({"spec": {"template": {"cliques": "many"}}})["spec"]["template"]["cliques"] == "many"
    assert default_podcliqueset({"spec": None})["spec"] is None


def test_a_service_without_replicas_has_one_and_one_with_zero_keeps_it() -> None:
    services = default_dynamographdeployment(graph(A={}, B={"replicas": 0}))["spec"]["services"]
    assert (services["A"]["replicas"], services["B"]["replicas"]) == (1, 0)
