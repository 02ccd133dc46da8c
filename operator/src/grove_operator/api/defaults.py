"""Defaults: what the schema fills in, and what the defaulting webhook adds on top (grove-behaviour 2.2).

Both are idempotent, and both leave alone whatever does not have the expected shape: saying so is validation's task.
"""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel

from grove_operator.api.constants import DEFAULT_TERMINATION_DELAY
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.kinds import Json
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.structural import schema_of, structural_schema

DEFAULT_GRACE_S = 30


def schema_defaults(model: type[BaseModel], obj: Json, *, embed: bool = True) -> Json:
    """A copy with the defaults that the API server takes from the CRD; nulls count as absent, as they do there.

    Without `embed` the parts that are Kubernetes' own types stay as they are.
    """
    schema = schema_of(model) if embed else structural_schema(model, embed=False)
    filled: Json = _filled(copy.deepcopy(obj), schema)
    return filled


def default_podcliqueset(obj: Json, *, with_schema_defaults: bool = False) -> Json:
    """A copy with every default of the webhook.

    `minAvailable` and `autoScalingConfig.minReplicas` come from the replicas *after* defaulting. Use
    `with_schema_defaults` for manifests that no API server has seen.
    """
    out = schema_defaults(PodCliqueSet, obj) if with_schema_defaults else copy.deepcopy(obj)
    metadata = out.setdefault("metadata", {})
    if isinstance(metadata, dict) and not metadata.get("namespace"):
        metadata["namespace"] = "default"
    template = _mapping(_mapping(out.get("spec")).get("template"))
    if not template:
        return out
    for clique in _mappings(template.get("cliques")):
        _default_clique(clique)
    for group in _mappings(template.get("podCliqueScalingGroups")):
        scaling = group.get("scaleConfig")
        if isinstance(scaling, dict) and scaling.get("minReplicas") is None:
            scaling["minReplicas"] = group.get("replicas") if group.get("replicas") is not None else 1
    if template.get("terminationDelay") is None:
        template["terminationDelay"] = DEFAULT_TERMINATION_DELAY
    if template.get("headlessServiceConfig") is None:
        template["headlessServiceConfig"] = {"publishNotReadyAddresses": True}
    return out


def default_dynamographdeployment(obj: Json, *, with_schema_defaults: bool = False) -> Json:
    """A copy in which every service has its number of replicas (1 when absent)."""
    out = schema_defaults(DynamoGraphDeployment, obj) if with_schema_defaults else copy.deepcopy(obj)
    services = _mapping(_mapping(out.get("spec")).get("services"))
    for service in services.values():
        if isinstance(service, dict) and service.get("replicas") is None:
            service["replicas"] = 1
    return out


def _default_clique(clique: Json) -> None:
    spec = _mapping(clique.get("spec"))
    if not spec:
        return
    if not spec.get("replicas"):
        spec["replicas"] = 1
    if spec.get("minAvailable") is None:
        spec["minAvailable"] = spec["replicas"]
    scaling = spec.get("autoScalingConfig")
    if isinstance(scaling, dict) and scaling.get("minReplicas") is None:
        scaling["minReplicas"] = spec["replicas"]
    pod = spec.get("podSpec")
    if isinstance(pod, dict):
        if not pod.get("restartPolicy"):
            pod["restartPolicy"] = "Always"
        if pod.get("terminationGracePeriodSeconds") is None:
            pod["terminationGracePeriodSeconds"] = DEFAULT_GRACE_S


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _filled(value: Any, schema: Json) -> Any:
    if isinstance(value, list):
        return [_filled(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    properties: Json = schema.get("properties", {})
    others: Json = schema.get("additionalProperties", {})
    for name in [name for name in properties if name in value and value[name] is None]:
        del value[name]
    for name, below in properties.items():
        if name not in value and "default" in below:
            value[name] = copy.deepcopy(below["default"])
    for name, item in value.items():
        value[name] = _filled(item, properties.get(name, others))
    return value
