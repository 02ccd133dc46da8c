"""Rules of a DynamoGraphDeployment (dynamo reference, 2.3, 2.12 and 4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.api.constants import NAME_BUDGET
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamoservice import DynamoService
from grove_operator.api.faults import Fault
from grove_operator.api.rules_graph_placement import override_faults, placement_faults
from grove_operator.api.rules_topology import Topologies
from grove_operator.api.syntax import env_faults, is_dns_label, map_faults, text

SERVICES = "spec.services"
LEADER_SUFFIX = "-ldr"
WORKER_SUFFIX = "-wkr"
RECREATE = "set it back, or delete the graph and create it anew"


def graph_faults(graph: DynamoGraphDeployment, topologies: Topologies | None) -> Iterator[Fault]:
    """Every rule that looks at one object alone."""
    services = graph.spec.services or {}
    if not services:
        yield Fault(SERVICES, "Required", "is empty", "add at least one service")
    name = text(graph.metadata, "name")
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
        yield from _budget(field, name, key, service)
        yield from _service_faults(field, service)
    yield from env_faults("spec.envs", graph.spec.envs)
    yield from _pvc_faults(graph)
    yield from _restart_faults(graph)
    yield from placement_faults(graph, topologies)
    yield from override_faults(graph, topologies)


def name_length(service: str, *, is_multinode: bool) -> int:
    """Characters a service takes of the name budget: group and its longest clique, or the clique alone."""
    return 2 * len(service) + len(LEADER_SUFFIX) if is_multinode else len(service)


def _budget(field: str, graph: str, key: str, service: DynamoService) -> Iterator[Fault]:
    is_multinode = service.multinode is not None
    taken = name_length(key, is_multinode=is_multinode)
    over = len(graph) + taken - NAME_BUDGET
    if over <= 0:
        return
    how = f" (a multinode service counts twice, plus {len(LEADER_SUFFIX)})" if is_multinode else ""
    yield Fault(
        field,
        "Invalid",
        f"service name {key!r} is too long: it takes {taken} characters{how} and the graph's name {graph!r} "
        f"{len(graph)}, {over} more than the {NAME_BUDGET} that fit",
        f"shorten the names by {over} characters",
    )


def _service_faults(field: str, service: DynamoService) -> Iterator[Fault]:
    yield from env_faults(f"{field}.envs", service.envs)
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
    if service.component_type == "epp" and (service.multinode or (service.replicas or 1) != 1):
        yield Fault(field, "Invalid", "an endpoint picker runs as exactly one pod", "use replicas 1 without multinode")
    main = (service.extra_pod_spec or {}).get("mainContainer")
    if isinstance(main, dict) and isinstance(main.get("env"), list):
        yield from env_faults(f"{field}.extraPodSpec.mainContainer.env", main["env"])


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


def graph_transition_faults(new: DynamoGraphDeployment, old: DynamoGraphDeployment) -> Iterator[Fault]:
    """What cannot change in a live graph, since the PodCliqueSet behind it could not follow."""
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
