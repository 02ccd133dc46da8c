"""Common shapes of inference systems as PodCliqueSet specs. Plain data, no Pulumi here.

    aggregated       [frontend] + N equal workers
    disaggregated    frontend + prefill and decode, each scaling alone
    leader_worker    [frontend] + M instances of one leader with its workers, each instance packed whole
    pipeline         frontend + several models, started in order, each a role or an instance group of its own

Structure is plain; images, arguments and environment values may be Pulumi Outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grove_components.manifests import topology_constraint
from grove_operator.api.constants import DEFAULT_TOPOLOGY, STARTUP_IN_ORDER
from grove_operator.api.kinds import Json


@dataclass(frozen=True)
class Role:
    """Equal pods with one container. `gpus` is per pod; `min_available` None: all of them are needed."""

    image: Any
    replicas: int = 1
    gpus: int = 0
    command: Sequence[Any] = ()
    args: Sequence[Any] = ()
    env: Mapping[str, Any] = field(default_factory=dict)
    cpu: str = "1"
    memory: str = "1Gi"
    min_available: int | None = None


@dataclass(frozen=True)
class Instances:
    """`count` copies of one leader with its workers; each copy is one gang unit and fits into one `pack` domain."""

    leader: Role
    workers: Role
    count: int = 1
    pack: str | None = None


@dataclass(frozen=True)
class Packing:
    """Where each replica of the whole system shall sit: a must (`required`), a wish (`preferred`), or both."""

    required: str | None = None
    preferred: str | None = None
    topology: str = DEFAULT_TOPOLOGY


def aggregated(
    worker: Role, *, frontend: Role | None = None, replicas: int = 1, packing: Packing | None = None
) -> Json:
    """Workers that do prefill and decode themselves."""
    roles = {"frontend": frontend} if frontend else {}
    return _spec([_clique(name, role) for name, role in {**roles, "worker": worker}.items()], [], replicas, packing)


def disaggregated(
    *, frontend: Role, prefill: Role, decode: Role, replicas: int = 1, packing: Packing | None = None
) -> Json:
    """Prefill and decode apart, so that their ratio can follow the traffic."""
    roles = {"frontend": frontend, "prefill": prefill, "decode": decode}
    return _spec([_clique(name, role) for name, role in roles.items()], [], replicas, packing)


def leader_worker(
    instances: Instances, *, frontend: Role | None = None, replicas: int = 1, packing: Packing | None = None
) -> Json:
    """A model too big for one node: a leader and its workers are one instance, scheduled whole or not at all."""
    packing = packing or Packing()
    cliques = [_clique("frontend", frontend)] if frontend else []
    members, group = _group("model", ("leader", "worker"), instances, packing.topology)
    return _spec([*cliques, *members], [group], replicas, packing)


def pipeline(
    stages: Mapping[str, Role | Instances],
    *,
    frontend: Role,
    in_order: bool = True,
    replicas: int = 1,
    packing: Packing | None = None,
) -> Json:
    """Several models behind one frontend, one gang: all of them run, or none takes a GPU.

    With `in_order` the frontend starts last, when every model's minimum is ready.
    """
    packing = packing or Packing()
    cliques: list[Json] = []
    groups: list[Json] = []
    for name, stage in stages.items():
        if isinstance(stage, Role):
            cliques.append(_clique(name, stage))
            continue
        members, group = _group(name, (f"{name}-leader", f"{name}-worker"), stage, packing.topology)
        cliques += members
        groups.append(group)
    return _spec([*cliques, _clique("frontend", frontend)], groups, replicas, packing, in_order=in_order)


def _spec(
    cliques: list[Json], groups: list[Json], replicas: int, packing: Packing | None, *, in_order: bool = False
) -> Json:
    template: Json = {"cliques": cliques}
    if in_order:
        template["cliqueStartupType"] = STARTUP_IN_ORDER
    if groups:
        template["podCliqueScalingGroups"] = groups
    if packing and (constraint := topology_constraint(packing.topology, packing.required, packing.preferred)):
        template["topologyConstraint"] = constraint
    return {"replicas": replicas, "template": template}


def _group(name: str, members: tuple[str, str], instances: Instances, topology: str) -> tuple[list[Json], Json]:
    leader, worker = members
    group: Json = {"name": name, "cliqueNames": [leader, worker], "replicas": instances.count}
    if constraint := topology_constraint(topology, instances.pack, None):
        group["topologyConstraint"] = constraint
    return [_clique(leader, instances.leader), _clique(worker, instances.workers)], group


def _clique(name: str, role: Role) -> Json:
    spec: Json = {"roleName": name, "replicas": role.replicas, "podSpec": {"containers": [_container(role)]}}
    if role.min_available is not None:
        spec["minAvailable"] = role.min_available
    return {"name": name, "spec": spec}


def _container(role: Role) -> Json:
    limits = {"memory": role.memory} | ({"nvidia.com/gpu": str(role.gpus)} if role.gpus else {})
    requests = {"cpu": role.cpu, "memory": role.memory}
    container: Json = {"name": "main", "image": role.image, "resources": {"requests": requests, "limits": limits}}
    if role.command:
        container["command"] = list(role.command)
    if role.args:
        container["args"] = list(role.args)
    if role.env:
        container["env"] = [{"name": key, "value": value} for key, value in role.env.items()]
    return container
