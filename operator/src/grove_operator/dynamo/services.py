"""How a graph is reached and what it keeps (dynamo reference 2.4 and 2.9): Services, Ingress, claims, picker config."""

from __future__ import annotations

import yaml

from grove_operator.api.kinds import CONFIG_MAP, INFERENCE_POOL, INGRESS, PERSISTENT_VOLUME_CLAIM, SERVICE, Json
from grove_operator.dynamo.defaults import PICKER_CONFIG_KEY, PICKER_PORT, picker_config_name, pool_name
from grove_operator.dynamo.environment import HTTP_PORT, SYSTEM_PORT
from grove_operator.dynamo.graph import ETCD, Component, Graph
from grove_operator.dynamo.labels import BASE_MODEL, BASE_MODEL_HASH, component_labels, model_hash, model_name
from grove_operator.dynamo.owned import ours, owned

PICKER_API = "inference.networking.x-k8s.io/v1alpha1"


def services(graph: Graph) -> list[Json]:
    """One for each component that others look for; with etcd only the frontend's."""
    found = [c for c in graph.components if graph.discovery != ETCD or c.component_type == "frontend"]
    return [_service(graph, component) for component in found]


def model_services(graph: Graph) -> list[Json]:
    """A headless Service for each base model, over the pods of all components that serve it."""
    models = sorted({model for component in graph.components if (model := model_name(component))})
    port = {"name": "system", "port": SYSTEM_PORT, "targetPort": SYSTEM_PORT, "protocol": "TCP"}
    return [
        owned(
            graph,
            SERVICE,
            f"dynamo-model-{model_hash(model)}",
            {**ours(graph), BASE_MODEL_HASH: model_hash(model)},
            {BASE_MODEL: model},
            spec={"clusterIP": "None", "selector": {BASE_MODEL_HASH: model_hash(model)}, "ports": [port]},
        )
        for model in models
    ]


def ingresses(graph: Graph) -> list[Json]:
    """Of frontends that ask for one; without a class, neither given nor configured, nobody would serve it."""
    found = []
    for component in graph.components:
        said = component.said.get("ingress") or {}
        wants = component.component_type == "frontend" and said.get("enabled") and not said.get("useVirtualService")
        if wants and (said.get("ingressControllerClassName") or graph.settings.ingress_class):
            found.append(_ingress(graph, component, said))
    return found


def claims(graph: Graph) -> list[Json]:
    """The volume claims that the graph creates; the others have to exist."""
    return [
        owned(
            graph,
            PERSISTENT_VOLUME_CLAIM,
            claim["name"],
            ours(graph),
            spec={
                "accessModes": [claim["volumeAccessMode"]],
                "resources": {"requests": {"storage": str(claim["size"])}},
                "storageClassName": claim["storageClass"],
            },
        )
        for claim in graph.claims
        if claim.get("create")
    ]


def inference_pools(graph: Graph) -> list[Json]:
    """What a gateway sends requests to: the frontends beside the workers, chosen among by the graph's picker."""
    return [
        owned(
            graph,
            INFERENCE_POOL,
            pool_name(graph),
            {**ours(graph), "nvidia.com/dynamo-component": c.name, "nvidia.com/dynamo-component-type": "epp"},
            spec={
                "targetPorts": [{"number": HTTP_PORT}],
                "selector": {
                    "matchLabels": {
                        "nvidia.com/dynamo-component-class": "worker",
                        "nvidia.com/dynamo-namespace": graph.dynamo_namespace(c),
                    }
                },
                "endpointPickerRef": {
                    "kind": "Service",
                    "name": service_name(graph, c),
                    "port": {"number": PICKER_PORT},
                },
            },
        )
        for c in graph.components
        if c.component_type == "epp"
    ]


def picker_configs(graph: Graph) -> list[Json]:
    """The ConfigMap of an endpoint picker whose configuration stands in the graph."""
    found = []
    for component in graph.components:
        config = (component.spec.get("eppConfig") or {}).get("config")
        if component.component_type == "epp" and config is not None:
            content = {"apiVersion": PICKER_API, "kind": "EndpointPickerConfig", **config}
            labels = {**ours(graph), "nvidia.com/dynamo-component": component.name}
            labels["nvidia.com/dynamo-component-type"] = "epp"
            data = {PICKER_CONFIG_KEY: yaml.safe_dump(content, sort_keys=True)}
            found.append(owned(graph, CONFIG_MAP, picker_config_name(graph), labels, data=data))
    return found


def service_name(graph: Graph, component: Component) -> str:
    return f"{graph.name}-{component.lower}".replace(".", "-")


def _service(graph: Graph, component: Component) -> Json:
    if component.component_type == "frontend":
        port: Json = {"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}
    elif component.component_type == "epp":
        port = {"name": "grpc", "port": PICKER_PORT, "targetPort": "grpc", "protocol": "TCP", "appProtocol": "http2"}
    else:
        port = {"name": "system", "port": SYSTEM_PORT, "targetPort": "system", "protocol": "TCP"}
    labels = component_labels(graph, component)
    keys = ("nvidia.com/dynamo-component-type", "nvidia.com/dynamo-namespace", "nvidia.com/dynamo-component")
    selector = {key: labels[key] for key in keys if key in labels}
    spec = {"selector": selector, "ports": [port]}
    return owned(graph, SERVICE, service_name(graph, component), {**labels, **ours(graph)}, spec=spec)


def _ingress(graph: Graph, component: Component, said: Json) -> Json:
    suffix = said["hostSuffix"] if said.get("hostSuffix") is not None else graph.settings.ingress_suffix
    host = f"{said.get('hostPrefix') or ''}{said.get('host') or graph.name}.{suffix}"
    backend = {"service": {"name": service_name(graph, component), "port": {"number": HTTP_PORT}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: Json = {
        "ingressClassName": said.get("ingressControllerClassName") or graph.settings.ingress_class,
        "rules": [{"host": host, "http": {"paths": [path]}}],
    }
    if said.get("tls"):
        secret = {"secretName": said["tls"]["secretName"]} if said["tls"].get("secretName") else {}
        spec["tls"] = [{"hosts": [host], **secret}]
    labels = {**(said.get("labels") or {}), **ours(graph)}
    return owned(graph, INGRESS, service_name(graph, component), labels, said.get("annotations"), spec=spec)
