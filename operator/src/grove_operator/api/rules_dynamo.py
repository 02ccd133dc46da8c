"""Rules of a DynamoGraphDeployment (dynamo reference, 2.3, 2.12 and 4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.api.constants import NAME_BUDGET
from grove_operator.api.dynamo_names import LEADER, LEAST_BUDGET, name_length
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamoservice import DynamoService
from grove_operator.api.faults import Fault
from grove_operator.api.rules_dynamo_annotations import annotation_faults
from grove_operator.api.rules_dynamo_parts import part_faults, source_faults
from grove_operator.api.rules_dynamo_unsupported import unsupported_faults
from grove_operator.api.rules_graph_placement import override_faults, placement_faults
from grove_operator.api.rules_topology import Topologies
from grove_operator.api.syntax import env_faults, is_dns_label, map_faults

SERVICES = "spec.services"
VOLCANO_QUEUE = "nvidia.com/volcano-queue"
LONGEST_LABEL = 63
RECREATE = "set it back, or delete the graph and create it anew"


def graph_faults(graph: DynamoGraphDeployment, topologies: Topologies | None) -> Iterator[Fault]:
    """Every rule that looks at one object alone."""
    services = graph.spec.services or {}
    if not services:
        yield Fault(SERVICES, "Required", "is empty", "add at least one service")
    lowered: dict[str, str] = {}
    for key, service in services.items():
        field = f"{SERVICES}.{key}"
        if not is_dns_label(key.lower()):
            yield Fault(
                field,
                "Invalid",
                f"service name {key!r} is not a DNS label in lower case",
                "use letters, digits and hyphens, with a letter or digit at both ends",
            )
        if key.lower() in lowered:
            fact = f"differs from {lowered[key.lower()]!r} only by upper and lower case"
            yield Fault(field, "Duplicate", fact, "rename one of them")
        lowered[key.lower()] = key
        yield from _budget(field, key, service)
        yield from _service_faults(field, service)
    yield from _length_faults(graph)
    yield from annotation_faults(graph.metadata)
    yield from unsupported_faults(graph)
    yield from env_faults("spec.envs", graph.spec.envs)
    yield from source_faults("spec.envs", graph.spec.envs)
    yield from picker_faults(graph)
    yield from _pvc_faults(graph)
    yield from _restart_faults(graph)
    yield from placement_faults(graph, topologies)
    yield from override_faults(graph, topologies)


def _length_faults(graph: DynamoGraphDeployment) -> Iterator[Fault]:
    """Names that become Service names and label values, which have 63 characters at most."""
    name, namespace = str(graph.metadata.get("name") or ""), str(graph.metadata.get("namespace") or "default")
    if (over := len(namespace) + 1 + len(name) - LONGEST_LABEL) > 0:
        fact = f"with its namespace {namespace!r} it makes a label of {LONGEST_LABEL + over} characters"
        yield Fault("metadata.name", "Invalid", fact, f"shorten one of them by {over} characters")
    for key in graph.spec.services or {}:
        if (over := len(name) + 1 + len(key) - LONGEST_LABEL) > 0:
            fact = f"with the graph's name it makes a Service name of {LONGEST_LABEL + over} characters"
            yield Fault(f"{SERVICES}.{key}", "Invalid", fact, f"shorten one of them by {over} characters")


def _budget(field: str, key: str, service: DynamoService) -> Iterator[Fault]:
    """The graph's own name is shortened where it doesn't fit; a component must leave room for that."""
    is_multinode = service.multinode is not None
    taken = name_length(key, is_multinode=is_multinode, is_group=is_multinode)
    over = taken + LEAST_BUDGET - NAME_BUDGET
    if over <= 0:
        return
    how = f" (a multinode service counts twice, plus {len(LEADER)})" if is_multinode else ""
    each = -(-over // 2) if is_multinode else over
    yield Fault(
        field,
        "Invalid",
        f"service name {key!r} is too long: it takes {taken} of the {NAME_BUDGET} characters{how}, and {LEAST_BUDGET} "
        "must remain for the graph",
        f"shorten it by {each} characters",
    )


def _service_faults(field: str, service: DynamoService) -> Iterator[Fault]:
    yield from env_faults(f"{field}.envs", service.envs)
    yield from part_faults(field, service)
    for name, said in (("componentType", service.component_type), ("subComponentType", service.sub_component_type)):
        yield from map_faults(f"{field}.{name}", {"type": said} if said else {}, are_labels=True)
    yield from map_faults(f"{field}.labels", service.labels, are_labels=True)
    yield from map_faults(f"{field}.annotations", service.annotations, are_labels=False)
    resources = service.resources
    for part, item in (("limits", resources and resources.limits), ("requests", resources and resources.requests)):
        if item and item.gpu is not None and not item.gpu.isdigit():
            where = f"{field}.resources.{part}.gpu"
            yield Fault(where, "Invalid", f"{item.gpu!r} is not a whole number of GPUs", 'write it like "8"')
    if service.shared_memory and service.shared_memory.disabled and service.shared_memory.size is not None:
        yield Fault(
            f"{field}.sharedMemory.size", "Invalid", "has no meaning when disabled is true", "remove one of them"
        )
    if service.epp_config and (service.epp_config.config_map_ref is None) == (service.epp_config.config is None):
        yield Fault(f"{field}.eppConfig", "Invalid", "needs configMapRef or config, not both", "set exactly one")
    if service.component_type == "epp":
        if service.multinode or service.replicas not in (None, 1):
            fact = "an endpoint picker runs as exactly one pod"
            yield Fault(field, "Invalid", fact, "use replicas 1 without multinode")
        if service.epp_config is None:
            yield Fault(
                f"{field}.eppConfig", "Required", "is missing for an endpoint picker", "set config or configMapRef"
            )
    main = (service.extra_pod_spec or {}).get("mainContainer")
    if isinstance(main, dict) and isinstance(main.get("env"), list):
        yield from env_faults(f"{field}.extraPodSpec.mainContainer.env", main["env"])


def picker_faults(graph: DynamoGraphDeployment) -> Iterator[Fault]:
    """At most one endpoint picker: there is one inference pool for each graph."""
    pickers = [key for key, service in (graph.spec.services or {}).items() if service.component_type == "epp"]
    for key in pickers[1:]:
        yield Fault(f"{SERVICES}.{key}", "Invalid", f"is an endpoint picker beside {pickers[0]!r}", "keep one of them")


def creation_faults(graph: DynamoGraphDeployment) -> Iterator[Fault]:
    """What makes no sense in a graph that doesn't exist yet."""
    if graph.spec.restart is not None:
        yield Fault("spec.restart", "Forbidden", "has no meaning for a new graph", "remove it until you want a restart")


def _pvc_faults(graph: DynamoGraphDeployment) -> Iterator[Fault]:
    for i, pvc in enumerate(graph.spec.pvcs or ()):
        given = {
            "name": pvc.name,
            "storageClass": pvc.storage_class,
            "size": pvc.size,
            "volumeAccessMode": pvc.volume_access_mode,
        }
        for part, value in given.items():
            if pvc.create and value is None:
                yield Fault(f"spec.pvcs[{i}].{part}", "Required", "is missing for a claim to create", "set it")
    names = [pvc.name for pvc in graph.spec.pvcs or () if pvc.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault("spec.pvcs", "Duplicate", f"{name!r} is listed twice", "keep one of them")


def _restart_faults(graph: DynamoGraphDeployment) -> Iterator[Fault]:
    strategy = graph.spec.restart.strategy if graph.spec.restart else None
    if strategy is None or not strategy.order:
        return
    field, order = "spec.restart.strategy.order", strategy.order
    if strategy.type == "Parallel":
        yield Fault(field, "Invalid", "has no meaning with type Parallel", "remove it or use Sequential")
    services = set(graph.spec.services or {})
    if len(set(order)) < len(order) or set(order) != services:
        yield Fault(field, "Invalid", "must list every service once", f"list {', '.join(sorted(services))}")


def scaling_faults(new: DynamoGraphDeployment, old: DynamoGraphDeployment, user: str) -> Iterator[Fault]:
    """Replicas that an adapter owns are changed by the operator for it, and by planners, but by nobody else."""
    if user.endswith((":planner-serviceaccount", ":grove-operator")):
        return
    before = old.spec.services or {}
    for key, service in (new.spec.services or {}).items():
        former = before.get(key)
        is_owned = service.scaling_adapter and service.scaling_adapter.enabled
        was_owned = former and former.scaling_adapter and former.scaling_adapter.enabled
        if former and is_owned and was_owned and (service.replicas or 0) != (former.replicas or 0):
            fact = f"belongs to the scaling adapter, {user or 'this user'} may not change it"
            adapter = f"{new.metadata.get('name')}-{key.lower()}"
            remedy = f"kubectl scale dgdsa {adapter} --replicas {service.replicas}, or switch scalingAdapter off"
            yield Fault(f"{SERVICES}.{key}.replicas", "Forbidden", fact, remedy)


def graph_transition_faults(new: DynamoGraphDeployment, old: DynamoGraphDeployment) -> Iterator[Fault]:
    """What cannot change in a live graph, since the PodCliqueSet behind it could not follow."""
    has_queue, had_queue = (bool((g.metadata.get("annotations") or {}).get(VOLCANO_QUEUE)) for g in (new, old))
    if has_queue != had_queue:
        fact = "would change the pods' scheduler"
        yield Fault(f"metadata.annotations.{VOLCANO_QUEUE}", "Forbidden", fact, RECREATE)
    if old.spec.backend_framework and new.spec.backend_framework != old.spec.backend_framework:
        yield Fault("spec.backendFramework", "Forbidden", "cannot be changed", RECREATE)
    if new.spec.topology_constraint != old.spec.topology_constraint:
        yield Fault("spec.topologyConstraint", "Forbidden", "cannot be changed", RECREATE)
    if new.spec.provider_override != old.spec.provider_override:
        yield Fault("spec.providerOverride", "Forbidden", "cannot be changed", RECREATE)
    after, before = new.spec.services or {}, old.spec.services or {}
    for key in sorted(after.keys() ^ before.keys()):
        verb = "added to" if key in after else "removed from"
        yield Fault(f"{SERVICES}.{key}", "Forbidden", f"cannot be {verb} a live graph", RECREATE)
    for key in sorted(after.keys() & before.keys()):
        now, then = after[key], before[key]
        nodes, former = (s.multinode.node_count if s.multinode else 1 for s in (now, then))
        if nodes != former:
            fact = f"cannot change from {former} to {nodes} nodes in a live graph"
            yield Fault(f"{SERVICES}.{key}.multinode", "Forbidden", fact, RECREATE)
        if now.topology_constraint != then.topology_constraint:
            yield Fault(f"{SERVICES}.{key}.topologyConstraint", "Forbidden", "cannot be changed", RECREATE)
