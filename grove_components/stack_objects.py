"""Every object of a stack as plain data, from its config alone: what `pulumi up` applies and `grove render` writes.

Only the Secrets made from encrypted config values are missing: they belong in no Git tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from grove_components import manifests
from grove_components.config import OperatorConfig, StackConfig
from grove_components.crds import crd_manifests
from grove_components.dynamo import Placement, graph_manifest
from grove_components.platform_config import PlatformConfig
from grove_components.platform_objects import etcd_address, nats_address, platform_manifests
from grove_components.podcliqueset import pod_clique_set_manifest
from grove_components.topology import topology_manifest
from grove_components.workload_config import GraphConfig, PodCliqueSetConfig
from grove_operator.api.constants import DEFAULT_TOPOLOGY
from grove_operator.api.install import InstallOptions, install_manifests
from grove_operator.api.kinds import Json

QUEUE_LABEL = "kai.scheduler/queue"
QUEUE_ANNOTATION = "nvidia.com/kai-scheduler-queue"


def install_options(config: OperatorConfig, platform: PlatformConfig | None = None) -> InstallOptions:
    """The operator tells its graphs where the stack's NATS and etcd are; the stack file's own words win."""
    platform = platform or PlatformConfig()
    known = {"nats": nats_address(platform), "etcd": etcd_address(platform)}
    said = config.config.get("dynamo") or {}
    dynamo = {**{key: value for key, value in known.items() if value}, **(said if isinstance(said, dict) else {})}
    return InstallOptions(
        namespace=config.namespace,
        image=config.image,
        operator_replicas=config.replicas,
        scheduler_replicas=config.scheduler_replicas,
        webhook_port=config.webhook_port,
        health_port=config.health_port,
        metrics_port=config.metrics_port,
        scheduler_health_port=config.scheduler_health_port,
        scheduler_metrics_port=config.scheduler_metrics_port,
        conversion_port=config.conversion_port,
        service_external_name=config.service_external_name,
        force=config.force,
        config={**config.config, "dynamo": dynamo} if dynamo else config.config,
    )


def placement_of(graph: GraphConfig) -> Placement:
    return Placement(required=graph.placement.required, preferred=graph.placement.preferred)


def topology_of(config: StackConfig) -> str | None:
    """The topology that a graph's placement refers to: the stack's own, or the platform's default one."""
    if config.topology:
        return config.topology.name
    return None if config.makes_platform else DEFAULT_TOPOLOGY


def namespaces(config: StackConfig) -> dict[str, Mapping[str, str]]:
    """Namespaces that this stack makes, with their labels.

    Tenants' belong to the platform: a workloads stack names them in `tenants` and leaves them alone.
    """
    tenants = {tenant.namespace: tenant.labels for tenant in config.tenants}
    used: dict[str, Mapping[str, str]] = {}
    if config.makes_workloads:
        used = {pcs.namespace: {} for pcs in config.sets}
        if config.graph:
            used[config.graph.namespace] = {}
    if config.makes_platform:
        return {**used, **tenants}
    return {name: labels for name, labels in used.items() if name not in tenants}


def queue_labels(config: StackConfig, namespace: str) -> dict[str, str]:
    queue = config.queue_of(namespace)
    return {QUEUE_LABEL: queue} if queue else {}


def set_manifest(config: StackConfig, pcs: PodCliqueSetConfig) -> Json:
    wait = "none" if pcs.autoscaled else pcs.wait
    return pod_clique_set_manifest(pcs.name, pcs.namespace, pcs.spec, wait, labels=queue_labels(config, pcs.namespace))


def queue_annotations(config: StackConfig, namespace: str) -> dict[str, str]:
    queue = config.queue_of(namespace)
    return {QUEUE_ANNOTATION: queue} if queue else {}


def graph_object(config: StackConfig, graph: GraphConfig) -> Json:
    return graph_manifest(
        graph.name,
        graph.namespace,
        graph.spec(),
        topology_of(config),
        placement_of(graph),
        annotations=queue_annotations(config, graph.namespace),
    )


def custom_resources(config: StackConfig) -> list[Json]:
    """Every custom resource that the stack makes."""
    made = []
    if config.makes_platform and config.topology:
        made.append(topology_manifest(config.topology.name, config.topology.pairs))
    if config.makes_workloads:
        made += [set_manifest(config, pcs) for pcs in config.sets]
        if config.graph:
            made.append(graph_object(config, config.graph))
    return made


@dataclass(frozen=True)
class Stage:
    """Objects that may be applied together once the stages before them are there."""

    name: str
    objects: list[Json]


def stages(config: StackConfig) -> Iterator[Stage]:
    """The stack's objects, stage by stage; empty stages left out. The config is one that `stack_faults` accepts."""
    for name, objects in _stages(config):
        if objects:
            yield Stage(name, objects)


def _stages(config: StackConfig) -> Iterator[tuple[str, list[Json]]]:
    if config.makes_platform and config.operator.install == "ours":
        yield "crds", crd_manifests()
        for stage in manifests.install_stages(install_manifests(install_options(config.operator, config.platform))):
            yield "operator", stage
    if config.makes_platform:
        for stage in manifests.platform_stages(platform_manifests(config.platform)):
            yield "platform", stage
    if config.makes_platform and config.topology:
        yield "topology", [topology_manifest(config.topology.name, config.topology.pairs)]
    yield "namespaces", [manifests.namespace(name, labels) for name, labels in namespaces(config).items()]
    if config.makes_platform:
        yield "quotas", [manifests.resource_quota(t.namespace, t.quota) for t in config.tenants if t.quota]
    if config.makes_workloads:
        yield "workloads", [set_manifest(config, pcs) for pcs in config.sets]
        if graph := config.graph:
            yield (
                "graph",
                [graph_object(config, graph)],
            )
