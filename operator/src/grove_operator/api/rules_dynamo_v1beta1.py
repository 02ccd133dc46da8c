"""Rules of a v1beta1 graph beyond those that both versions share, and where the shared ones point in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from grove_operator.api.constants import NAME_BUDGET
from grove_operator.api.core_faults import schema_faults
from grove_operator.api.core_schemas import core_schema
from grove_operator.api.dynamo_names import LEAST_BUDGET, name_length
from grove_operator.api.dynamo_podtemplate import MAIN
from grove_operator.api.dynamocomponent import DynamoComponent
from grove_operator.api.dynamographdeployment_v1beta1 import DynamoGraphDeploymentV1beta1
from grove_operator.api.faults import Fault
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.api.rules_dynamo_unsupported import ELSEWHERE

COMPONENTS = "spec.components"
_SERVICES = "spec.services."
_MOVED = (
    ("extraPodSpec.mainContainer.", f"podTemplate.spec.containers[{MAIN}]."),
    ("extraPodSpec.", "podTemplate.spec."),
    ("extraPodMetadata.", "podTemplate.metadata."),
    ("resources.", f"podTemplate.spec.containers[{MAIN}].resources."),
    ("envs", f"podTemplate.spec.containers[{MAIN}].env"),
    ("sharedMemory.size", "sharedMemorySize"),
    ("componentType", "type"),
)
_GRAPH_MOVED = (
    ("spec.envs", "spec.env"),
    ("spec.topologyConstraint.topologyProfile", "spec.topologyConstraint.clusterTopologyName"),
)


def component_faults(graph: DynamoGraphDeploymentV1beta1) -> Iterator[Fault]:
    """Every rule that looks at one object alone and that v1alpha1 can't have."""
    seen: set[str] = set()
    for index, component in enumerate(graph.spec.components or ()):
        field = f"{COMPONENTS}[{index}]"
        if component.name in seen:
            yield Fault(f"{field}.name", "Duplicate", f"{component.name!r} is listed twice", "rename one of them")
        seen.add(component.name)
        yield from _container_faults(field, component)
        yield from _count_faults(field, component)
        yield from _forced_budget(field, component)
        yield from _unsupported(field, component)
        if component.provider_override is not None:
            yield from _override_faults(f"{field}.providerOverride", component)


def component_transition_faults(
    new: DynamoGraphDeploymentV1beta1, old: DynamoGraphDeploymentV1beta1, remedy: str
) -> Iterator[Fault]:
    """What cannot change in a live component."""
    before = {component.name: component for component in old.spec.components or ()}
    for index, component in enumerate(new.spec.components or ()):
        former = before.get(component.name)
        if former is None:
            continue
        field = f"{COMPONENTS}[{index}]"
        if former.type and component.type != former.type:
            yield Fault(f"{field}.type", "Forbidden", f"cannot change from {former.type}", remedy)
        for name, now, then in (
            ("minAvailable", component.min_available or 1, former.min_available or 1),
            ("providerOverride", component.provider_override, former.provider_override),
            ("experimental.grove", _grove(component), _grove(former)),
        ):
            if now != then:
                yield Fault(f"{field}.{name}", "Forbidden", "cannot be changed", remedy)


def in_v1beta1(faults: Sequence[Fault], names: Sequence[str]) -> list[Fault]:
    """Faults of the v1alpha1 form, with the fields and words of v1beta1; `names` are the components in their order."""
    return [replace(f, field=_moved(f.field, names), message=f.message.replace("service", "component")) for f in faults]


def _moved(field: str, names: Sequence[str]) -> str:
    for there, here in _GRAPH_MOVED:
        if field.startswith(there):
            return here + field[len(there) :]
    if field == "spec.services":
        return COMPONENTS
    for index, name in enumerate(names):
        start = f"{_SERVICES}{name}"
        if field == start:
            return f"{COMPONENTS}[{index}]"
        if field.startswith(start + "."):
            below = field[len(start) + 1 :]
            for there, here in _MOVED:
                if below.startswith(there):
                    below = here + below[len(there) :]
                    break
            return f"{COMPONENTS}[{index}].{below}"
    return field


def _container_faults(field: str, component: DynamoComponent) -> Iterator[Fault]:
    spec: Any = (component.pod_template or {}).get("spec") or {}
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    where = f"{field}.podTemplate.spec.containers"
    listed = [c for c in containers if isinstance(c, Mapping)] if isinstance(containers, list) else []
    names = [c.get("name") for c in listed]
    if MAIN not in names:
        yield Fault(where, "Required", f"has no container named {MAIN}, the workload", "add one with its image")
    for position, container in enumerate(listed):
        if not container.get("image"):
            yield Fault(f"{where}[{position}].image", "Required", "is missing", "set it")
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield Fault(where, "Duplicate", f"{name!r} is listed twice", "rename one of them")
    sidecar = component.frontend_sidecar
    if sidecar is not None and (sidecar not in names or sidecar == MAIN):
        fact = f"{sidecar!r} is no other container of the template"
        yield Fault(f"{field}.frontendSidecar", "NotFound", fact, "name a container beside main")


def _count_faults(field: str, component: DynamoComponent) -> Iterator[Fault]:
    least, replicas = component.min_available or 1, 1 if component.replicas is None else component.replicas
    if replicas and least > replicas:
        fact = f"{least} exceeds replicas {replicas}"
        yield Fault(f"{field}.minAvailable", "Invalid", fact, "lower it or raise replicas")
    if component.roles and component.multinode is None:
        yield Fault(f"{field}.roles", "Invalid", "needs multinode", "set multinode, or remove roles")
    nodes = component.multinode.node_count if component.multinode else 1
    for position, role in enumerate(component.roles or ()):
        if role.pod_template is not None:
            where = f"{field}.roles[{position}].podTemplate"
            yield from schema_faults(core_schema("PodTemplate"), role.pod_template, where)
        wanted = 1 if role.name == "leader" else nodes - 1
        if role.replicas is not None and role.replicas != wanted:
            fact = f"a {role.name} of {nodes} nodes has {wanted} pods, not {role.replicas}"
            yield Fault(f"{field}.roles[{position}].replicas", "Invalid", fact, f"set {wanted}, or remove it")


def _forced_budget(field: str, component: DynamoComponent) -> Iterator[Fault]:
    """A scaling group of lone pods takes its name twice."""
    over = name_length(component.name, is_multinode=False, is_group=True) + LEAST_BUDGET - NAME_BUDGET
    if component.multinode is None and _grove(component) and over > 0:
        fact = f"{component.name!r} counts twice in a scaling group and leaves less than {LEAST_BUDGET} characters"
        yield Fault(f"{field}.name", "Invalid", fact, f"shorten it by {-(-over // 2)} characters")


def _unsupported(field: str, component: DynamoComponent) -> Iterator[Fault]:
    if component.dynamo_sidecar is not None:
        yield Fault(f"{field}.dynamoSidecar", "NotSupported", "is left out here", ELSEWHERE)


def _override_faults(field: str, component: DynamoComponent) -> Iterator[Fault]:
    override: Any = component.provider_override
    kind = "PodCliqueScalingGroupConfig" if _is_group(component) else "PodCliqueTemplateSpec"
    for name, said, wanted in (
        ("apiVersion", override.api_version, POD_CLIQUE_SET.api_version),
        ("target", override.target, kind),
    ):
        if said != wanted:
            yield Fault(f"{field}.{name}", "NotSupported", f"is {said!r}", f"only {wanted} can be patched here")
    if set(override.patch) != {"topologyConstraint"} or not isinstance(override.patch.get("topologyConstraint"), dict):
        fact = "must hold topologyConstraint and nothing else"
        yield Fault(f"{field}.patch", "Forbidden", fact, "patch only topologyConstraint")


def _is_group(component: DynamoComponent) -> bool:
    return component.multinode is not None or bool(_grove(component))


def _grove(component: DynamoComponent) -> Json | None:
    grove = component.experimental.grove if component.experimental else None
    return {"forceScalingGroup": True} if grove and grove.force_scaling_group else None
