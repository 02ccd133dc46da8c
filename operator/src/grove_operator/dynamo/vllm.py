"""vLLM over several nodes (dynamo reference 2.8).

TP x PP > GPUs of a pod, mp     one engine over all nodes, workers without a server of their own
TP x PP > GPUs of a pod, ray    a Ray cluster: the leader heads it and runs the engine, workers join
TP x PP x DP > GPUs of a pod    each node runs its share of the data-parallel ranks
else                            nothing is added: every node runs the command as written
"""

from __future__ import annotations

from grove_operator.api.kinds import Json
from grove_operator.dynamo.command import number_after, shell_line, text_of, with_flags
from grove_operator.dynamo.environment import ORIGIN_VERSION, version
from grove_operator.dynamo.graph import Component, Graph
from grove_operator.dynamo.podspec import gpus

EXECUTOR = "nvidia.com/vllm-distributed-executor-backend"
MASTER_PORT, DATA_PARALLEL_PORT, RAY_PORT = 29500, 13445, 6379
RANK = "$((GROVE_PCLQ_POD_INDEX + 1))"
MP_SINCE = (1, 0, 0)
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def adapt(graph: Graph, component: Component, pod_spec: Json, leader: str, *, is_leader: bool) -> Json:
    main, *others = pod_spec["containers"]
    words = text_of(main).split()
    engine = number_after(words, "--tensor-parallel-size", "-tp") * number_after(
        words, "--pipeline-parallel-size", "-pp"
    )
    data = number_after(words, "--data-parallel-size", "-dp")
    per_pod = gpus(component)
    result = dict(pod_spec)
    is_mp = uses_mp(graph, component)
    if engine > per_pod and is_mp:
        main = _one_engine(main, component, leader, is_leader=is_leader)
        if not is_leader:
            waiting = _wait_for_leader(main, leader)
            result["initContainers"] = [*(pod_spec.get("initContainers") or ()), waiting]
    elif engine > per_pod:
        main = _ray(main, leader, is_leader=is_leader)
    elif engine * data > per_pod:
        main = _share_of_ranks(main, leader, per_pod // engine, is_leader=is_leader)
    if is_mp:
        main = _with_side_channel(main)
    if not is_leader:
        main = {key: value for key, value in main.items() if key not in PROBES}
    return {**result, "containers": [main, *others]}


def uses_mp(graph: Graph, component: Component) -> bool:
    """Said by an annotation of the pods or the graph; else yes, unless an operator before 1.0 first saw the graph."""
    own = (component.template.get("metadata") or {}).get("annotations") or {}
    said = str(graph.annotations.get(EXECUTOR) or own.get(EXECUTOR) or "").lower()
    if said in ("mp", "ray"):
        return said == "mp"
    origin = version(graph.annotations.get(ORIGIN_VERSION, ""))
    return origin is None or origin >= MP_SINCE


def _one_engine(main: Json, component: Component, leader: str, *, is_leader: bool) -> Json:
    rank = "0" if is_leader else RANK
    flags = (
        f"--distributed-executor-backend mp --nnodes {component.nodes} "
        f"--master-addr {leader} --master-port {MASTER_PORT} --node-rank {rank}"
    )
    return with_flags(main, flags if is_leader else f"{flags} --headless")


def _ray(main: Json, leader: str, *, is_leader: bool) -> Json:
    line = f"ray start --address={leader}:{RAY_PORT} --block"
    if is_leader:
        line = f"ray start --head --port={RAY_PORT} && {shell_line(main)} --distributed-executor-backend ray"
    return {**main, "command": ["/bin/sh", "-c"], "args": [line]}


def _share_of_ranks(main: Json, leader: str, local: int, *, is_leader: bool) -> Json:
    """`local` ranks on each node; the leader's begin at 0."""
    rank = "0" if is_leader else f"$(({local} * (GROVE_PCLQ_POD_INDEX + 1)))"
    return with_flags(
        main,
        f"--data-parallel-hybrid-lb --data-parallel-size-local {local} --data-parallel-start-rank {rank} "
        f"--data-parallel-address {leader} --data-parallel-rpc-port {DATA_PARALLEL_PORT}",
    )


def _with_side_channel(main: Json) -> Json:
    address = {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    env = [v for v in main.get("env") or () if v["name"] != address["name"]]
    return {**main, "env": sorted([*env, address], key=lambda v: str(v["name"]))}


def _wait_for_leader(main: Json, leader: str) -> Json:
    attempt = f"import socket; socket.create_connection(('{leader}', {MASTER_PORT}), 5)"
    return {
        "name": "wait-for-leader-mp",
        "image": main.get("image", ""),
        "command": ["sh", "-c"],
        "args": [f'until python3 -c "{attempt}" 2>/dev/null; do sleep 2; done'],
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
    }
