"""One stack, from CRDs to running graphs:

    GroveCrds ── GroveOperator ─┬─ ClusterTopology ─┬─ PodCliqueSet ...
                                └─ Namespace ─ Secret ─ DynamoGraphDeployment

Everything is checked before the first resource is registered, so that bad input leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

import pulumi

from grove_components.cancellation import end_quietly_when_cancelled
from grove_components.checks import InvalidInputError
from grove_components.config import GraphConfig, OperatorConfig, StackConfig
from grove_components.crds import GroveCrds
from grove_components.dynamo import DynamoGraphDeployment, Placement, graph_faults, graph_manifest
from grove_components.operator import GroveOperator
from grove_components.podcliqueset import PodCliqueSet, pod_clique_set_faults, pod_clique_set_manifest
from grove_components.resources import KubernetesObject
from grove_components.topology import ClusterTopology, topology_faults, topology_manifest
from grove_operator.api.config import ConfigError
from grove_operator.api.install import InstallOptions, operator_configuration
from grove_operator.api.kinds import Json

FRONTEND_PORT = 8000


def install_options(config: OperatorConfig) -> InstallOptions:
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
        service_external_name=config.service_external_name,
        config=config.config,
    )


def placement_of(graph: GraphConfig) -> Placement:
    return Placement(required=graph.placement.required, preferred=graph.placement.preferred)


def stack_faults(config: StackConfig) -> list[str]:
    """Everything wrong with the objects that this config describes, each fault named by its config key."""
    faults: list[str] = []
    try:
        operator_configuration(install_options(config.operator))
    except ConfigError as error:
        faults.append(f"grove:operator.config: {error}")
    topologies: dict[str, Json] = {}
    if config.topology:
        binding = topology_manifest(config.topology.name, config.topology.pairs)
        topologies[config.topology.name] = binding
        faults += [f"grove:topology: {fault}" for fault in topology_faults(binding)]
    if config.graph:
        faults += [f"grove:graph: {fault}" for fault in _graph_faults(config, config.graph, topologies)]
    for index, pcs in enumerate(config.pod_clique_sets):
        manifest = pod_clique_set_manifest(pcs.name, pcs.namespace, pcs.spec, pcs.wait)
        found = pod_clique_set_faults(manifest, topologies or None)
        faults += [f"grove:podCliqueSets[{index}] {pcs.name}: {fault}" for fault in found]
    return faults


def _graph_faults(config: StackConfig, graph: GraphConfig, topologies: dict[str, Json]) -> list[str]:
    """A wrong placement is left out of the graph that is then checked, so that both are reported at once."""
    placement, topology = placement_of(graph), config.topology
    wrong: list[str] = []
    if topology:
        wrong = placement.faults(topology.name, topology.pairs)
    elif placement != Placement():
        wrong = ["placement: needs grove:topology, whose levels it names; set it or remove the placement"]
    checked = None if wrong else placement
    manifest = graph_manifest(graph.name, graph.namespace, graph.spec(), topology.name if topology else None, checked)
    return wrong + graph_faults(manifest, topologies or None)


def load_stack() -> StackConfig:
    """The running program's config, checked: InvalidInputError lists every fault and names the stack file."""
    end_quietly_when_cancelled()
    config = StackConfig.load()
    check_stack(config)
    return config


def check_stack(config: StackConfig) -> None:
    if faults := stack_faults(config):
        raise InvalidInputError(config.stack_file, faults)


def build_stack(config: StackConfig, provider: pulumi.ProviderResource | None = None) -> dict[str, Any]:
    """Register the whole stack and return its outputs. Raises InvalidInputError before registering anything."""
    check_stack(config)
    to_cluster = pulumi.ResourceOptions(providers={"kubernetes": provider} if provider else None)

    def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(to_cluster, pulumi.ResourceOptions(depends_on=list(resources)))

    crds = GroveCrds("crds", delete_crds=config.delete_crds, opts=to_cluster)
    operator = GroveOperator("operator", options=install_options(config.operator), opts=after(crds))
    outputs: dict[str, Any] = {"crds": crds.names, "operatorNamespace": operator.namespace}
    topology = None
    if config.topology:
        topology = ClusterTopology(
            "topology", levels=config.topology.pairs, object_name=config.topology.name, opts=after(operator)
        )
    namespaces = _namespaces(config, provider)
    for pcs in config.pod_clique_sets:
        PodCliqueSet(
            f"pcs-{pcs.namespace}-{pcs.name}",
            object_name=pcs.name,
            namespace=pcs.namespace,
            spec=pcs.spec,
            topology=topology,
            wait=pcs.wait,
            opts=after(operator, namespaces[pcs.namespace]),
        )
    if config.graph:
        outputs |= _graph(config, config.graph, topology, [operator, namespaces[config.graph.namespace]], to_cluster)
    return outputs


def _namespaces(config: StackConfig, provider: pulumi.ProviderResource | None) -> dict[str, KubernetesObject]:
    """One Namespace for each that the workloads name."""
    names = {pcs.namespace: None for pcs in config.pod_clique_sets}
    if config.graph:
        names[config.graph.namespace] = None
    return {
        name: KubernetesObject(
            f"namespace-{name}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            pulumi.ResourceOptions(provider=provider),
        )
        for name in names
    }


def _graph(
    config: StackConfig,
    graph: GraphConfig,
    topology: ClusterTopology | None,
    needs: list[pulumi.Resource],
    to_cluster: pulumi.ResourceOptions,
) -> dict[str, Any]:
    needs = list(needs)
    if config.hf_token:
        needs.append(_token_secret(config.hf_token.get_secret_value(), graph, needs[-1], to_cluster))
    deployment = DynamoGraphDeployment(
        graph.name,
        namespace=graph.namespace,
        spec=graph.spec(),
        topology=topology,
        placement=placement_of(graph),
        opts=pulumi.ResourceOptions.merge(to_cluster, pulumi.ResourceOptions(depends_on=needs)),
    )
    frontends = [name for name, service in graph.services.items() if service.get("componentType") == "frontend"]
    return {
        "graph": f"{graph.namespace}/{graph.name}",
        "state": deployment.state,
        "frontends": [
            f"http://{graph.name}-{name.lower()}.{graph.namespace}.svc:{FRONTEND_PORT}" for name in frontends
        ],
    }


def _token_secret(
    token: str, graph: GraphConfig, namespace: pulumi.Resource, to_cluster: pulumi.ResourceOptions
) -> KubernetesObject:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": graph.token_secret, "namespace": graph.namespace},
        "type": "Opaque",
        "stringData": {"HF_TOKEN": pulumi.Output.secret(token)},
    }
    provider = (to_cluster.providers or {}).get("kubernetes") if isinstance(to_cluster.providers, dict) else None
    return KubernetesObject(
        f"secret-{graph.token_secret}", manifest, pulumi.ResourceOptions(provider=provider, depends_on=[namespace])
    )
