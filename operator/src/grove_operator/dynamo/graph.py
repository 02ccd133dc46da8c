"""A DynamoGraphDeployment of either version, read into frozen views.

Everything both versions can say is read from its v1beta1 form; what v1alpha1 alone can say (ingress, pvcs, free
component types, sub-types) from its v1alpha1 form. The conversions keep both whole, so either may have been written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from grove_operator.api import names
from grove_operator.api.dynamo_conversion import ALPHA, to_alpha, to_beta
from grove_operator.api.dynamo_names import LEADER, WORKER, pod_clique_set_name
from grove_operator.api.kinds import Json
from grove_operator.dynamo.around import Around
from grove_operator.dynamo.settings import DynamoSettings

ETCD = "etcd"
WORKER_TYPES = ("worker", "prefill", "decode")
MAIN = "main"


class MappingError(ValueError):
    """The graph can't be turned into Grove objects; the text names the component, the fact and the remedy."""


@dataclass(frozen=True)
class Component:
    """One component. `lower` is its name in object names, `name` in labels; `said` is its v1alpha1 form."""

    name: str
    spec: Json
    said: Json

    @property
    def lower(self) -> str:
        return self.name.lower()

    @property
    def component_type(self) -> str:
        return str(self.said.get("componentType") or "")

    @property
    def is_worker(self) -> bool:
        return self.component_type in WORKER_TYPES

    @property
    def replicas(self) -> int:
        replicas = self.spec.get("replicas")
        return 1 if replicas is None else int(replicas)

    @property
    def min_available(self) -> int:
        return int(self.spec.get("minAvailable") or 1)

    @property
    def nodes(self) -> int:
        """Pods of one instance: 1, or `multinode.nodeCount` (default 2)."""
        multinode = self.spec.get("multinode")
        return 1 if multinode is None else int(multinode.get("nodeCount") or 2)

    @property
    def is_multinode(self) -> bool:
        return self.nodes > 1

    @property
    def is_group(self) -> bool:
        """Whether a scaling group runs it, rather than a lone PodClique."""
        grove = (self.spec.get("experimental") or {}).get("grove") or {}
        return self.is_multinode or bool(grove.get("forceScalingGroup"))

    @property
    def clique_names(self) -> tuple[str, ...]:
        return (f"{self.lower}{LEADER}", f"{self.lower}{WORKER}") if self.is_multinode else (self.lower,)

    @property
    def template(self) -> Json:
        return self.spec.get("podTemplate") or {}

    @property
    def main_container(self) -> Json:
        """As the user wrote it; {} when there is none."""
        containers = (self.template.get("spec") or {}).get("containers") or ()
        return next((c for c in containers if c.get("name") == MAIN), {})

    @property
    def has_adapter(self) -> bool:
        return "scalingAdapter" in self.spec


@dataclass(frozen=True)
class Graph:
    """A whole deployment. `components` are in sorted order of their names, so that nothing rolls by chance."""

    obj: Json
    settings: DynamoSettings = field(default_factory=DynamoSettings)
    around: Around = field(default_factory=Around)

    @cached_property
    def _alpha(self) -> Json:
        return self.obj if self.obj.get("apiVersion", ALPHA) == ALPHA else to_alpha(self.obj)

    @cached_property
    def _beta(self) -> Json:
        return to_beta(self.obj) if self.obj.get("apiVersion", ALPHA) == ALPHA else self.obj

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.obj["metadata"].get("namespace") or "default")

    @property
    def spec(self) -> Json:
        """The graph's own fields as v1beta1 spells them."""
        return self._beta["spec"]  # type: ignore[no-any-return]

    @property
    def claims(self) -> list[Json]:
        return self._alpha["spec"].get("pvcs") or []

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.obj["metadata"].get("annotations") or {}

    @cached_property
    def components(self) -> tuple[Component, ...]:
        said = self._alpha["spec"].get("services") or {}
        listed = sorted(self.spec.get("components") or (), key=lambda c: str(c["name"]))
        return tuple(Component(c["name"], c, said.get(c["name"]) or {}) for c in listed)

    @property
    def discovery(self) -> str:
        return self.annotations.get("nvidia.com/dynamo-discovery-backend", self.settings.discovery)

    @property
    def has_metrics(self) -> bool:
        return self.annotations.get("nvidia.com/enable-metrics", "true").lower() != "false"

    @property
    def has_picker(self) -> bool:
        """Whether an endpoint picker chooses among the workers."""
        return any(c.component_type == "epp" for c in self.components)

    def dynamo_namespace(self, component: Component) -> str:
        """What the runtime calls its namespace; the old `dynamoNamespace` field is ignored, as in newer releases."""
        if component.spec.get("globalDynamoNamespace"):
            return "dynamo"
        return f"{self.namespace}-{self.name}".replace(".", "-")

    @property
    def discovery_account(self) -> str:
        return f"{self.name}-k8s-service-discovery"

    @cached_property
    def set_name(self) -> str:
        """Of the PodCliqueSet: the graph's, or a shorter one where the names below it would grow too long."""
        return pod_clique_set_name(self.name, ((c.name, c.is_multinode, c.is_group) for c in self.components))

    def child_name(self, component: Component) -> str:
        """The PodClique of a component of lone pods, or the scaling group of the others."""
        return names.pod_clique(self.set_name, 0, component.lower)
