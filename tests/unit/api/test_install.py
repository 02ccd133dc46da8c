"""The installation's manifests: complete, consistent, and no more rights than needed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from grove_operator.api.config import ConfigError, load_config
from grove_operator.api.install import InstallOptions, install_manifests, webhook_configurations
from grove_operator.api.kinds import Json
from grove_operator.dynamo.mapping import children
from tests.unit.api.manifests import changed, quickstart


def one(manifests: list[Json], kind: str, name: str) -> Json:
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def test_the_namespace_comes_first_and_the_webhooks_last() -> None:
    found = [m["kind"] for m in install_manifests()]
    assert found[0] == "Namespace"
    assert found.index("ClusterRoleBinding") < found.index("Deployment") < found.index("MutatingWebhookConfiguration")


def test_the_configuration_tells_the_processes_the_ports_that_probes_and_service_use() -> None:
    options = InstallOptions(webhook_port=1, health_port=2, metrics_port=3, scheduler_health_port=4)
    manifests = install_manifests(options)
    config = load_config(one(manifests, "ConfigMap", "grove-operator-cm")["data"]["config.yaml"])
    assert (config.server.webhooks.port, config.server.health_probes.port, config.server.metrics.port) == (1, 2, 3)
    assert config.leader_election.enabled
    operator = one(manifests, "Deployment", "grove-operator")["spec"]["template"]["spec"]["containers"][0]
    scheduler = one(manifests, "Deployment", "grove-scheduler")["spec"]["template"]["spec"]["containers"][0]
    assert operator["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 2}
    assert scheduler["livenessProbe"]["httpGet"]["port"] == config.gang_scheduler.health_port == 4
    ports = {p["name"]: p["port"] for p in one(manifests, "Service", "grove-operator")["spec"]["ports"]}
    assert ports == {"webhooks": 1, "metrics": 3}
    assert {w["clientConfig"]["service"]["port"] for c in webhook_configurations(options) for w in c["webhooks"]} == {1}


def test_a_changed_configuration_rolls_the_pods() -> None:
    def stamp(**options: Any) -> dict[str, str]:
        pod = one(install_manifests(InstallOptions(**options)), "Deployment", "grove-operator")["spec"]["template"]
        annotations: dict[str, str] = pod["metadata"]["annotations"]
        return annotations

    assert stamp() == stamp()
    assert stamp() != stamp(config={"logLevel": "debug"})


def test_overrides_reach_into_sections_and_are_checked() -> None:
    manifests = install_manifests(InstallOptions(config={"server": {"webhooks": {"certProvisionMode": "manual"}}}))
    config = yaml.safe_load(one(manifests, "ConfigMap", "grove-operator-cm")["data"]["config.yaml"])
    assert config["server"]["webhooks"] | {"certProvisionMode": "manual", "port": 9443} == config["server"]["webhooks"]
    assert not [m for m in manifests if m["kind"] == "Secret"], "certificates come from outside in manual mode"
    with pytest.raises(ConfigError, match=r"scheduler.*defaultProfileName 'slurm' is not among the profiles"):
        install_manifests(InstallOptions(config={"scheduler": {"defaultProfileName": "slurm"}}))


def test_the_service_can_point_at_the_api_servers_own_host() -> None:
    spec = one(install_manifests(InstallOptions(service_external_name="localhost")), "Service", "grove-operator")[
        "spec"
    ]
    assert (spec["type"], spec["externalName"], "selector" in spec) == ("ExternalName", "localhost", False)


def test_the_authorizer_is_installed_only_when_enabled() -> None:
    names = {m["metadata"]["name"] for m in webhook_configurations()}
    enabled = InstallOptions(config={"authorizer": {"enabled": True}})
    assert names ^ {m["metadata"]["name"] for m in webhook_configurations(enabled)} == {"authorizer-webhook"}


def test_no_rule_has_a_wildcard_and_nobody_may_delete_nodes_or_graphs() -> None:
    for role in (m for m in install_manifests() if m["kind"].endswith("Role")):
        for rule in role["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            if {"nodes", "dynamographdeployments", "pods/binding"} & set(rule["resources"]):
                assert "delete" not in rule["verbs"]


def test_the_operator_holds_every_right_that_its_generated_roles_grant() -> None:
    """The API server refuses a Role that grants more than its author has."""
    held = {
        (group, resource, verb)
        for rule in one(install_manifests(), "ClusterRole", "grove:system:grove-operator")["rules"]
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    graph = changed(changed(quickstart(), "metadata.namespace", "serving"), "metadata.uid", "u")
    roles = [child for child in children(graph) if child["kind"] == "Role"]
    waiting = {"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "list", "watch"]}
    granted = {
        (group, resource, verb)
        for rule in [waiting, *(rule for role in roles for rule in role["rules"])]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert roles
    assert granted <= held


def test_nothing_installed_carries_the_label_of_generated_objects() -> None:
    labels = [m["metadata"].get("labels", {}) for m in install_manifests()]
    assert not any("app.kubernetes.io/managed-by" in found for found in labels)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("host:5000/grove/operator:1", "host:5000/grove/grove-initc"),
        ("host:5000/grove/operator", "host:5000/grove/grove-initc"),
        ("grove/operator@sha256:ab", "grove/grove-initc"),
        ("operator", "grove-initc"),
    ],
)
def test_the_waiting_containers_image_lies_beside_the_operators_and_has_no_tag(image: str, repository: str) -> None:
    deployment = one(install_manifests(InstallOptions(image=image)), "Deployment", "grove-operator")
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "GROVE_INIT_CONTAINER_IMAGE", "value": repository} in env


MANUAL = {"server": {"webhooks": {"certProvisionMode": "manual"}}}


def test_certificates_by_hand_are_mounted_from_their_secret_and_trusted_as_told() -> None:
    options = InstallOptions(config=MANUAL, webhook_ca_bundle="Q0E=", webhook_annotations={"inject": "me"})
    pod = one(install_manifests(options), "Deployment", "grove-operator")["spec"]["template"]["spec"]
    assert {"name": "certificate", "secret": {"secretName": "grove-webhook-server-cert"}} in pod["volumes"]
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "certificate"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/grove-operator/webhook-certs", True)
    scheduler = one(install_manifests(options), "Deployment", "grove-scheduler")["spec"]["template"]["spec"]
    assert [v["name"] for v in scheduler["volumes"]] == ["config"]
    for configuration in webhook_configurations(options):
        assert configuration["metadata"]["annotations"] == {"inject": "me"}
        assert {webhook["clientConfig"]["caBundle"] for webhook in configuration["webhooks"]} == {"Q0E="}


def test_a_ca_bundle_beside_certificates_of_the_operator_is_a_contradiction() -> None:
    with pytest.raises(ConfigError, match="certProvisionMode: manual"):
        install_manifests(InstallOptions(webhook_ca_bundle="Q0E="))


def test_the_authorizer_is_installed_when_enabled_and_asked_about_labelled_objects_only() -> None:
    assert "authorizer-webhook" not in [c["metadata"]["name"] for c in webhook_configurations()]
    options = InstallOptions(config={"authorizer": {"enabled": True}})
    (webhook,) = one(webhook_configurations(options), "ValidatingWebhookConfiguration", "authorizer-webhook")[
        "webhooks"
    ]
    assert webhook["objectSelector"] == {"matchLabels": {"app.kubernetes.io/managed-by": "grove-operator"}}
    assert webhook["clientConfig"]["service"]["path"] == "/webhooks/authorizer-webhook"
    asked = {
        (rule["apiGroups"][0], resource): rule["operations"]
        for rule in webhook["rules"]
        for resource in rule["resources"]
    }
    assert asked[("", "pods")] == ["UPDATE"]
    assert asked[("grove.io", "podcliques")] == ["CREATE", "UPDATE", "DELETE"]
    assert ("grove.io", "podcliquesets") not in asked
