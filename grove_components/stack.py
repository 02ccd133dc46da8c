"""One environment, from CRDs to running graphs, as one stack or as two:

    platform    GroveCrds ─┬─ GroveOperator ── ClusterTopology     tenants: Namespace ── ResourceQuota
                           └─ DynamoPlatform (NATS, etcd)
                (ExistingGrove where somebody else installed them)
                                  │
    workloads                     └── Namespace ─┬─ PodCliqueSet ...
                                                 └─ Secret ── DynamoGraphDeployment

Everything is checked before the first resource is registered, so that bad input leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

import pulumi

from grove_components import manifests
from grove_components.cancellation import end_quietly_when_cancelled
from grove_components.config import StackConfig
from grove_components.crds import GroveCrds
from grove_components.dynamo import DynamoGraphDeployment
from grove_components.existing import ExistingGrove
from grove_components.operator import GroveOperator
from grove_components.platform import DynamoPlatform
from grove_components.platform_reference import Platform
from grove_components.podcliqueset import PodCliqueSet
from grove_components.resources import KubernetesObject
from grove_components.stack_checks import check_stack
from grove_components.stack_objects import (
    custom_resources,
    install_options,
    namespaces,
    placement_of,
    queue_annotations,
    queue_labels,
    topology_of,
)
from grove_components.topology import ClusterTopology
from grove_components.workload_config import GraphConfig

FRONTEND_PORT = 8000


def load_stack() -> StackConfig:
    """The running program's config, checked: InvalidInputError lists every fault and names the stack file."""
    end_quietly_when_cancelled()
    config = StackConfig.load()
    check_stack(config)
    return config


def build_stack(
    config: StackConfig,
    provider: pulumi.ProviderResource | None = None,
    crd_provider: pulumi.ProviderResource | None = None,
) -> dict[str, Any]:
    """Register the whole stack and return its outputs. Raises InvalidInputError before registering anything.

    `crd_provider` is the one for CRDs alone, where it differs from `provider`: grove:adoptCrds needs one that adopts.
    """
    check_stack(config)
    stack = _Stack(config, provider, crd_provider or provider)
    outputs: dict[str, Any] = {}
    if config.makes_platform:
        outputs |= stack.platform()
    else:
        stack.needs = [stack.existing()]
    stack.make_namespaces()
    if config.makes_workloads:
        outputs |= stack.workloads()
    return outputs


class _Stack:
    """What one stack has made so far: `needs` is what a workload must come after."""

    def __init__(
        self,
        config: StackConfig,
        provider: pulumi.ProviderResource | None,
        crd_provider: pulumi.ProviderResource | None,
    ) -> None:
        self.config = config
        self.provider = provider
        self.crd_provider = crd_provider
        self.needs: list[pulumi.Input[pulumi.Resource]] = []
        self.topology: ClusterTopology | str | None = topology_of(config)
        self.reference = Platform(config) if config.platform_stack else None
        self.namespaces: dict[str, list[pulumi.Input[pulumi.Resource]]] = {}

    def platform(self) -> dict[str, Any]:
        config = self.config
        outputs: dict[str, Any] = {"operatorNamespace": config.operator.namespace}
        if config.operator.install == "ours":
            for_crds = pulumi.ResourceOptions(
                providers={"kubernetes": self.crd_provider} if self.crd_provider else None
            )
            crds = GroveCrds("crds", delete_crds=config.delete_crds, opts=for_crds)
            options = install_options(config.operator, config.platform)
            first: pulumi.Input[pulumi.Resource] = crds
            self.needs = [GroveOperator("operator", options=options, opts=self._after(crds))]
            outputs["crds"] = crds.names
        else:
            first = self.existing(config.operator.namespace)
            self.needs = [first]
        if config.topology:
            levels, name = config.topology.pairs, config.topology.name
            self.topology = ClusterTopology("topology", levels=levels, object_name=name, opts=self._after(*self.needs))
            outputs["topologies"] = {name: [{"domain": domain, "key": key} for domain, key in levels]}
        else:
            outputs["topologies"] = {}
        if config.platform.install != "none":
            dynamo = DynamoPlatform("platform", config=config.platform, opts=self._after(first))
            self.needs = [*self.needs, dynamo]
        return outputs

    def existing(self, operator_namespace: str | None = None) -> pulumi.Output[pulumi.Resource]:
        """CRDs that this stack relies on and doesn't make, judged before anything is made."""
        objects = custom_resources(self.config)
        found = ExistingGrove("existing", objects=objects, operator_namespace=operator_namespace, opts=self._after())
        return found.judged

    def make_namespaces(self) -> None:
        """After the operator: a platform that fails leaves none behind, and none goes while objects in it need one."""
        quotas = {t.namespace: t.quota for t in self.config.tenants if t.quota and self.config.makes_platform}
        for name, labels in namespaces(self.config).items():
            made: list[pulumi.Input[pulumi.Resource]] = [
                self._object(f"namespace-{name}", manifests.namespace(name, labels), *self.needs)
            ]
            if name in quotas:
                quota = manifests.resource_quota(name, quotas[name])
                made.append(self._object(f"quota-{name}", quota, *made))
            self.namespaces[name] = made

    def workloads(self) -> dict[str, Any]:
        config = self.config
        for pcs in config.sets:
            PodCliqueSet(
                f"pcs-{pcs.namespace}-{pcs.name}",
                object_name=pcs.name,
                namespace=self._checked(pcs.namespace),
                spec=pcs.spec,
                labels=queue_labels(config, pcs.namespace),
                topology=self.topology,
                wait=pcs.wait,
                timeout=pcs.timeout,
                on_immutable_change=pcs.on_immutable_change,
                autoscaled=pcs.autoscaled,
                opts=self._after(*self.needs, *self.namespaces.get(pcs.namespace, [])),
            )
        outputs: dict[str, Any] = {}
        if config.sets:
            outputs["podCliqueSets"] = [f"{pcs.namespace}/{pcs.name}" for pcs in config.sets]
        return outputs | (self._graph(config.graph) if config.graph else {})

    def _graph(self, graph: GraphConfig) -> dict[str, Any]:
        config = self.config
        needs = [*self.needs, *self.namespaces.get(graph.namespace, [])]
        if config.hf_token:
            needs.append(self._token_secret(config.hf_token.get_secret_value(), graph, needs))
        deployment = DynamoGraphDeployment(
            graph.name,
            namespace=self._checked(graph.namespace),
            spec=graph.spec(),
            annotations=queue_annotations(config, graph.namespace),
            topology=self.topology,
            placement=placement_of(graph),
            opts=self._after(*needs),
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
        self, token: str, graph: GraphConfig, needs: list[pulumi.Input[pulumi.Resource]]
    ) -> KubernetesObject:
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": graph.token_secret, "namespace": graph.namespace},
            "type": "Opaque",
            "stringData": {"HF_TOKEN": pulumi.Output.secret(token)},
        }
        return self._object(f"secret-{graph.token_secret}", manifest, *(n for n in needs if n not in self.needs))

    def _checked(self, namespace: str) -> pulumi.Input[str]:
        """A workload's namespace; where the platform is another stack, known only once its topologies are checked."""
        return self.reference.checked(namespace) if self.reference else namespace

    def _object(self, name: str, manifest: dict[str, Any], *after: pulumi.Input[pulumi.Resource]) -> KubernetesObject:
        options = pulumi.ResourceOptions(provider=self.provider, depends_on=list(after) or None)
        return KubernetesObject(name, manifest, options)

    def _after(self, *resources: pulumi.Input[pulumi.Resource]) -> pulumi.ResourceOptions:
        providers = {"kubernetes": self.provider} if self.provider else None
        return pulumi.ResourceOptions(providers=providers, depends_on=list(resources) or None)
