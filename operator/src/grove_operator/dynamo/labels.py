"""Labels and annotations of a component's cliques and pods (dynamo reference 2.5 and 2.10)."""

from __future__ import annotations

import hashlib
import re

from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import ETCD, Component, Graph
from grove_operator.dynamo.schedulers import kai_queue

GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
RESTART = "nvidia.com/restartAt"
BASE_MODEL, BASE_MODEL_HASH = "nvidia.com/dynamo-base-model", "nvidia.com/dynamo-base-model-hash"
KUBERNETES_DISCOVERY = {
    "nvidia.com/dynamo-discovery-backend": "kubernetes",
    "nvidia.com/dynamo-discovery-enabled": "true",
}
COPIED_ANNOTATIONS = (
    "nvidia.com/enable-metrics",
    "nvidia.com/dynamo-discovery-backend",
    "nvidia.com/dynamo-kube-discovery-mode",
    "nvidia.com/dynamo-operator-origin-version",
    "nvidia.com/vllm-distributed-executor-backend",
)
_LABEL_VALUE = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")


def component_labels(graph: Graph, component: Component) -> dict[str, str]:
    """Labels of a component's cliques and pods; these win over the user's."""
    own = {
        "nvidia.com/selector": f"{graph.name}-{component.lower}",
        GRAPH_LABEL: graph.name,
        "nvidia.com/dynamo-component": component.name,
        "nvidia.com/dynamo-namespace": graph.dynamo_namespace(component),
    }
    if component.component_type:
        own["nvidia.com/dynamo-component-type"] = component.component_type
    if component.said.get("subComponentType"):
        own["nvidia.com/dynamo-sub-component-type"] = component.said["subComponentType"]
    if graph.has_picker and component.is_worker:
        own["nvidia.com/dynamo-component-class"] = "worker"
    if graph.has_metrics:
        own["nvidia.com/metrics-enabled"] = "true"
    if graph.discovery != ETCD:
        own |= KUBERNETES_DISCOVERY
    if model := model_name(component):
        own[BASE_MODEL_HASH] = model_hash(model)
        if _LABEL_VALUE.match(model):
            own[BASE_MODEL] = model
    if queue := kai_queue(graph, component):
        own["kai.scheduler/queue"] = queue
    return {**(graph.spec.get("labels") or {}), **_of_template(component, "labels"), **own}


def component_annotations(graph: Graph, component: Component, restart: str = "") -> dict[str, str]:
    """`restart` is the id of the restart that the component has been asked to make, "" for none."""
    copied = {key: graph.annotations[key] for key in COPIED_ANNOTATIONS if key in graph.annotations}
    out = {**(graph.spec.get("annotations") or {}), **_of_template(component, "annotations"), **copied}
    if component.component_type == "epp":
        out.setdefault("sidecar.istio.io/inject", "false")
    if model := model_name(component):
        out[BASE_MODEL] = model
    if restart:
        out[RESTART] = restart
    return out


def model_name(component: Component) -> str:
    return str((component.spec.get("modelRef") or {}).get("name") or "")


def model_hash(model: str) -> str:
    """Eight hexadecimal digits, fit for a label."""
    return hashlib.sha256(model.encode()).hexdigest()[:8]


def _of_template(component: Component, key: str) -> Json:
    return (component.template.get("metadata") or {}).get(key) or {}
