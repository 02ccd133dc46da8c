"""NATS, etcd and queues as manifests, values for NVIDIA's chart, and what the operator is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from grove_components.config import StackConfig
from grove_components.platform_config import PlatformConfig
from grove_components.platform_helm import charts, values
from grove_components.platform_objects import etcd_address, nats_address, platform_manifests
from grove_components.stack_objects import install_options, stages
from grove_operator.api.install import operator_configuration


def names(**config: Any) -> list[str]:
    return [f"{m['kind']}/{m['metadata']['name']}" for m in platform_manifests(PlatformConfig(**config))]


def test_nothing_is_made_unless_asked() -> None:
    assert names() == []
    assert nats_address(PlatformConfig()) == ""


def test_servers_have_the_names_of_the_article_and_etcd_is_optional() -> None:
    assert names(install="manifests") == [
        "Namespace/dynamo-system",
        "Service/dynamo-platform-nats",
        "StatefulSet/dynamo-platform-nats",
    ]
    assert "StatefulSet/dynamo-platform-etcd" in names(install="manifests", etcd=True)
    assert names(install="manifests", nats=False, kai_queues=True)[1:] == ["Queue/dynamo-default", "Queue/dynamo"]


def test_a_service_finds_its_server() -> None:
    _, service, server = platform_manifests(PlatformConfig(install="manifests"))
    assert service["spec"]["selector"].items() <= server["spec"]["template"]["metadata"]["labels"].items()
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["containerPort"] == 4222
    assert container["command"] + container["args"] == ["nats-server", "-p", "4222", "-m", "8222"]


def test_the_operator_tells_graphs_where_the_servers_are_and_the_stack_file_has_the_last_word() -> None:
    platform = PlatformConfig(install="manifests", etcd=True, namespace="infra")
    config = StackConfig(operator={"config": {"dynamo": {"etcd": "http://mine:2379"}}})  # type: ignore[arg-type]
    said = operator_configuration(install_options(config.operator, platform)).dynamo
    assert said.nats == "nats://dynamo-platform-nats.infra.svc.cluster.local:4222"
    assert said.etcd == "http://mine:2379"
    assert etcd_address(platform) == "http://dynamo-platform-etcd.infra.svc.cluster.local:2379"


def test_a_rendered_stack_has_its_platform_before_its_workloads() -> None:
    config = StackConfig(platform={"install": "manifests"})  # type: ignore[arg-type]
    found = [stage.name for stage in stages(config)]
    assert found.index("platform") > found.index("operator")


@pytest.mark.parametrize(("release", "first"), [("0.5.1", "dynamo-crds"), ("1.3.0", "dynamo-platform")])
def test_charts_are_pinned_and_old_releases_bring_their_crds_apart(release: Any, first: str) -> None:
    found = charts(PlatformConfig(install="helm", release=release))
    assert found[0] == (first, release)
    assert found[-1] == ("dynamo-platform", release)


def test_chart_values_leave_grove_to_its_own_release() -> None:
    old = values(PlatformConfig(install="helm", release="0.5.1", etcd=True))
    assert (old["grove"], old["etcd"], old["nats"]) == ({"enabled": False}, {"enabled": True}, {"enabled": True})
    new = values(PlatformConfig(install="helm"), kai=True)
    assert new["global"]["grove"] == {"install": False, "enabled": True}
    assert new["global"]["kai-scheduler"] == {"install": False, "enabled": True}
    assert new["global"]["etcd"] == {"install": False}
    assert new["dynamo-operator"]["discoveryBackend"] == "kubernetes"
