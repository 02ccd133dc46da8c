"""Validation: everything admission refuses, as data. The webhooks, `grove validate` and the components all ask here.

A function returns every fault of the manifest, in the order of its fields. Schema faults come first; while a known
field is missing or has the wrong type the other rules have nothing to stand on and wait for the next try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel

from grove_operator.api.config import BACKENDS, TOPOLOGY_AWARE_BACKENDS, OperatorConfiguration
from grove_operator.api.constants import SCHEDULER_NAME
from grove_operator.api.core_faults import core_faults
from grove_operator.api.core_schemas import unknown_fields
from grove_operator.api.crds import DEFINITIONS
from grove_operator.api.dynamo_conversion import BETA, SAID_IN, to_alpha, to_beta
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamographdeployment_v1beta1 import DynamoGraphDeploymentV1beta1
from grove_operator.api.faults import Advice, Fault, ManifestError, parse
from grove_operator.api.kinds import Json
from grove_operator.api.name_clashes import clash_faults
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.rules_advice import podcliqueset_advice
from grove_operator.api.rules_backend import VOLCANO, backend_faults, scheduler_of, volcano_queue
from grove_operator.api.rules_budget import budget_faults, rollout_faults, spread_faults
from grove_operator.api.rules_dynamo import (
    RECREATE,
    creation_faults,
    graph_faults,
    graph_transition_faults,
    scaling_faults,
)
from grove_operator.api.rules_dynamo_v1beta1 import component_faults, component_transition_faults, in_v1beta1
from grove_operator.api.rules_podcliqueset import structural_faults
from grove_operator.api.rules_sharing import nvlink_change_faults, nvlink_faults, sharing_faults
from grove_operator.api.rules_topology import binding_faults, constraint_places, topology_faults
from grove_operator.api.rules_update import transition_faults
from grove_operator.api.structural import schema_of
from grove_operator.api.syntax import metadata_faults
from grove_operator.api.topology import ClusterTopologyBinding

__all__ = [
    "Advice",
    "Fault",
    "ManifestError",
    "advise_podcliqueset",
    "pruned_fields",
    "validate_clustertopologybinding",
    "validate_dynamographdeployment",
    "validate_podcliqueset",
    "validate_schema",
    "volcano_queue_of",
]

M = TypeVar("M", bound=BaseModel)
_MODELS = {(d.kind.api_version, d.kind.kind): d.model for d in DEFINITIONS}


def validate_podcliqueset(
    obj: Json,
    old: Json | None = None,
    *,
    topologies: Mapping[str, Json] | None = None,
    config: OperatorConfiguration | None = None,
    queues: Mapping[str, Json] | None = None,
) -> list[Fault]:
    """All faults of a PodCliqueSet that carries its defaults; `old` is the live object when this is an update.

    `topologies` are the cluster's ClusterTopologyBindings by name (None: don't judge whether they exist), `queues`
    Volcano's queues (likewise). `config` is the operator's (None: don't judge which schedulers and features are
    enabled).
    """
    pcs, faults = _read(PodCliqueSet, obj)
    if pcs is None:
        return faults
    creating = old is None
    before = _read(PodCliqueSet, old)[0] if old is not None else None
    enabled = config.topology_aware_scheduling.enabled if config else True
    was_resolved = before is None or _topology_is_resolved(before)
    if creating or not was_resolved:
        faults += topology_faults(pcs, topologies, is_enabled=enabled, creating=creating)
    faults += metadata_faults(pcs.metadata)
    default_scheduler = _default_scheduler(config)
    faults += structural_faults(
        pcs,
        creating=creating,
        default_scheduler=default_scheduler,
        schedulers=config.scheduler.names if config else None,
    )
    if creating:  # a live set is what it is: its names can't be changed any more
        faults += clash_faults(pcs)
    faults += budget_faults(pcs)
    faults += spread_faults(pcs)
    faults += rollout_faults(pcs)
    faults += sharing_faults(pcs)
    if creating:
        faults += nvlink_faults(pcs, is_enabled=config.network.auto_mnnvl_enabled if config else None)
    elif before is not None:
        faults += nvlink_change_faults(pcs, before)
    faults += backend_faults(pcs, scheduler_of(pcs, default_scheduler), queues)
    if before is not None and not faults:
        faults += transition_faults(pcs, before, old_topology_is_resolved=was_resolved)
    return faults


def advise_podcliqueset(
    obj: Json, old: Json | None = None, *, topologies: Mapping[str, Json] | None = None
) -> list[Advice]:
    """What to warn of in a PodCliqueSet that is allowed; nothing for one that can't be read."""
    pcs, _ = _read(PodCliqueSet, obj)
    return list(podcliqueset_advice(pcs, topologies, creating=old is None)) if pcs else []


def volcano_queue_of(obj: Json, config: OperatorConfiguration | None = None) -> str:
    """The Volcano queue whose state decides on this PodCliqueSet.

    "" for sets of other schedulers, and where Volcano is not enabled: then the queues may not even be read.
    """
    pcs, _ = _read(PodCliqueSet, obj)
    if pcs is None or (config and VOLCANO not in config.scheduler.names):
        return ""
    return volcano_queue(pcs) if scheduler_of(pcs, _default_scheduler(config)) == VOLCANO else ""


def validate_dynamographdeployment(
    obj: Json, old: Json | None = None, *, topologies: Mapping[str, Json] | None = None, user: str | None = None
) -> list[Fault]:
    """All faults of a DynamoGraphDeployment of either version; `old` is the live object when this is an update.

    Levels and topologies are judged at creation only, so that a graph stays changeable when a topology loses a level.
    `user` is who asks (None: don't judge who may change replicas that belong to a scaling adapter).
    """
    if obj.get("apiVersion") == BETA:
        return _validate_v1beta1_graph(obj, old, topologies, user)
    if _was_v1beta1(obj):
        return _validate_v1beta1_graph(to_beta(obj), to_beta(old) if old is not None else None, topologies, user)
    return _validate_v1alpha1_graph(obj, old, topologies, user)


def _was_v1beta1(obj: Json) -> bool:
    """Whether the API server turned a v1beta1 object into this one, with words that only v1beta1 has."""
    metadata = obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return (
        isinstance(annotations, Mapping) and SAID_IN[BETA] in annotations and not _read(DynamoGraphDeployment, obj)[1]
    )


def _validate_v1alpha1_graph(
    obj: Json, old: Json | None, topologies: Mapping[str, Json] | None, user: str | None
) -> list[Fault]:
    graph, faults = _read(DynamoGraphDeployment, obj)
    if graph is None:
        return faults
    faults += metadata_faults(graph.metadata)
    faults += graph_faults(graph, topologies if old is None else None)
    before = _read(DynamoGraphDeployment, old)[0] if old is not None else None
    if old is None:
        faults += creation_faults(graph)
    if before is not None and not faults:
        faults += graph_transition_faults(graph, before)
        faults += scaling_faults(graph, before, user) if user is not None else ()
    return faults


def _validate_v1beta1_graph(
    obj: Json, old: Json | None, topologies: Mapping[str, Json] | None, user: str | None
) -> list[Fault]:
    """Its own rules, then those of its v1alpha1 form, which can say everything else."""
    graph, faults = _read(DynamoGraphDeploymentV1beta1, obj)
    if graph is None:
        return faults
    faults += metadata_faults(graph.metadata)
    if faults:
        return faults
    faults += component_faults(graph)
    names = [component.name for component in graph.spec.components or ()]
    if len(set(names)) < len(names):
        return faults
    as_alpha = to_alpha(obj)
    before_as_alpha = to_alpha(old) if old is not None else None
    faults += in_v1beta1(_validate_v1alpha1_graph(as_alpha, before_as_alpha, topologies, user), names)
    before = _read(DynamoGraphDeploymentV1beta1, old)[0] if old is not None else None
    if before is not None and not faults:
        faults += component_transition_faults(graph, before, RECREATE)
    return faults


def validate_clustertopologybinding(
    obj: Json, old: Json | None = None, *, config: OperatorConfiguration | None = None
) -> list[Fault]:
    """All faults of a ClusterTopologyBinding; updates follow the same rules, removing a used level is allowed."""
    binding, faults = parse(ClusterTopologyBinding, obj)
    if binding is None:
        return faults
    faults += metadata_faults(binding.metadata, allow_dots=True)
    faults += binding_faults(binding, config.scheduler.names if config else BACKENDS, TOPOLOGY_AWARE_BACKENDS)
    return faults


def validate_schema(obj: Json) -> list[Fault] | None:
    """Schema and metadata faults of any kind of this project; None for kinds that are not ours."""
    model = _model_of(obj)
    if model is None:
        return None
    parsed, faults = _read(model, obj)
    if parsed is not None:
        faults += metadata_faults(obj.get("metadata") or {}, allow_dots=True)
    return faults


def pruned_fields(obj: Json) -> list[str]:
    """Paths inside Kubernetes' own types that the API server would drop: unknown there, or newer than our schemas.

    Unknown fields of our own kinds are not among them: they are faults.
    """
    model = _model_of(obj)
    if model is None:
        return []
    own = {fault.field for fault in parse(model, obj)[1]}
    spec = schema_of(model)["properties"]["spec"]
    return [path for path in unknown_fields(spec, obj.get("spec"), "spec") if path not in own]


def _read(model: type[M], obj: Json) -> tuple[M | None, list[Fault]]:
    """The model and its schema faults, those inside Kubernetes' own types included.

    None while a known field is missing or has the wrong type; what stands twice leaves enough to judge the rest.
    """
    parsed, faults = parse(model, obj)
    if parsed is None:
        return None, faults
    inner = list(core_faults(model, obj))
    is_readable = all(fault.reason == "Duplicate" for fault in inner)
    return (parsed if is_readable else None), faults + inner


def _model_of(obj: Json) -> type[BaseModel] | None:
    """The model of a kind of ours, by what the object says it is."""
    told = obj.get("apiVersion"), obj.get("kind")
    return _MODELS.get((str(told[0]), str(told[1])))


def _default_scheduler(config: OperatorConfiguration | None) -> str:
    return config.scheduler.default_profile_name if config else SCHEDULER_NAME


def _topology_is_resolved(pcs: PodCliqueSet) -> bool:
    """False for an object from before topologies had names: packDomain somewhere, topologyName nowhere."""
    constraints = [constraint for _, constraint in constraint_places(pcs)]
    return any(c.topology_name for c in constraints) or not any(c.pack_domain for c in constraints)
