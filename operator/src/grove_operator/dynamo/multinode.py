"""Leader and worker pods of an instance over several nodes: what makes them one engine (dynamo reference 2.8)."""

from __future__ import annotations

from typing import Literal

from grove_operator.api.dynamo_names import LEADER, WORKER
from grove_operator.api.kinds import Json
from grove_operator.dynamo import trtllm, vllm
from grove_operator.dynamo.command import with_flags
from grove_operator.dynamo.graph import Component, Graph
from grove_operator.dynamo.podspec import gpus

Role = Literal["ldr", "wkr"]
MASTER_PORT = 29500
RANK = "$((GROVE_PCLQ_POD_INDEX + 1))"
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_GROUP = "$(GROVE_PCSG_NAME)-$(GROVE_PCSG_INDEX)"


def leader_host(component: Component) -> str:
    return f"{_GROUP}-{component.lower}{LEADER}-0.$(GROVE_HEADLESS_SERVICE)"


def worker_hosts(component: Component) -> list[str]:
    return [f"{_GROUP}-{component.lower}{WORKER}-{i}.$(GROVE_HEADLESS_SERVICE)" for i in range(component.nodes - 1)]


def adapt(graph: Graph, component: Component, role: Role, pod_spec: Json, backend: str) -> Json:
    """The pod spec of one role. Components whose backend is unknown keep their command as it is."""
    leader, is_leader = leader_host(component), role == "ldr"
    if backend == "vllm":
        return vllm.adapt(graph, component, pod_spec, leader, is_leader=is_leader)
    if backend == "trtllm":
        hosts = [leader, *worker_hosts(component)]
        processes = component.nodes * gpus(component)
        return trtllm.adapt(pod_spec, hosts, processes, graph.settings.mpi_secret, is_leader=is_leader)
    if backend != "sglang":
        return pod_spec
    main, *others = pod_spec["containers"]
    rank = "0" if is_leader else RANK
    main = with_flags(main, f"--dist-init-addr {leader}:{MASTER_PORT} --nnodes {component.nodes} --node-rank {rank}")
    if not is_leader:
        main = without_probes(main)
    return {**pod_spec, "containers": [main, *others]}


def without_probes(container: Json) -> Json:
    return {key: value for key, value in container.items() if key not in PROBES}
