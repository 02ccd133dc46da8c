"""Leader and worker pods of a multi-node instance: the flags that make them one engine (dynamo reference 2.8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Literal

from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import Graph, GraphService, MappingError
from grove_operator.dynamo.podspec import gpus

Role = Literal["ldr", "wkr"]
MASTER_PORT, DATA_PARALLEL_PORT = 29500, 13445
WORKER_RANK = "$((GROVE_PCLQ_POD_INDEX + 1))"
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MODULE = re.compile(r"(python[0-9.]*\s+(?:-\w+\s+)*-m\s+dynamo\.(vllm|sglang|trtllm)\S*)")


def backend(graph: Graph, service: GraphService, container: Json) -> str:
    """vllm, sglang, trtllm, or '' when neither the command nor the graph tells."""
    said = graph.spec.get("backendFramework") or ""
    if not service.is_worker:
        return ""
    found = _MODULE.search(_text(container))
    seen = found.group(2) if found else ""
    if said and seen and said != seen:
        raise MappingError(
            f"service {service.name}: its command runs dynamo.{seen}, but backendFramework is {said}; make them agree"
        )
    return said or seen


def adapt(graph: Graph, service: GraphService, role: Role, pod_spec: Json) -> Json:
    """The pod spec of one role. Services whose backend is unknown keep their command as it is."""
    main, *others = pod_spec["containers"]
    framework = backend(graph, service, main)
    leader = f"$(GROVE_PCSG_NAME)-$(GROVE_PCSG_INDEX)-{service.lower}-ldr-0.$(GROVE_HEADLESS_SERVICE)"
    if framework == "sglang":
        rank = "0" if role == "ldr" else WORKER_RANK
        main = with_flags(main, f"--dist-init-addr {leader}:{MASTER_PORT} --nnodes {service.nodes} --node-rank {rank}")
        if role == "wkr":
            main = {k: v for k, v in main.items() if k not in PROBES}
    elif framework == "vllm":
        return _vllm(service, role, {**pod_spec, "containers": [main, *others]}, leader)
    elif framework == "trtllm":
        raise MappingError(
            f"service {service.name}: TensorRT-LLM over several nodes is not supported; use vllm, sglang or one node"
        )
    return {**pod_spec, "containers": [main, *others]}


def with_flags(container: Json, flags: str) -> Json:
    """The container with `flags` behind its framework's own; through a shell when they hold shell arithmetic."""
    command, args = list(container.get("command") or ()), list(container.get("args") or ())
    if command and re.fullmatch(r"(.*/)?python[0-9.]*", command[0]):
        if "$((" not in flags:
            return {**container, "args": args + flags.split(" ")}
        line = " ".join(_quoted(word) for word in command + args)
        return {**container, "command": ["sh", "-c"], "args": [f"exec {line} {flags}"]}
    for field, words in (("args", args), ("command", command)):
        for position, word in enumerate(words):
            if _MODULE.search(word):
                words[position] = _MODULE.sub(lambda found: f"{found.group(1)} {flags}", word, count=1)
                return {**container, field: words}
    return container


def _vllm(service: GraphService, role: Role, pod_spec: Json, leader: str) -> Json:
    main, *others = pod_spec["containers"]
    words = _text(main).split()
    tensor = _flag(words, "--tensor-parallel-size", "-tp")
    engine = tensor * _flag(words, "--pipeline-parallel-size", "-pp")
    data = _flag(words, "--data-parallel-size", "-dp")
    per_pod = gpus(service)
    result = dict(pod_spec)
    if engine > per_pod:
        rank = "0" if role == "ldr" else WORKER_RANK
        flags = (
            f"--distributed-executor-backend mp --nnodes {service.nodes} "
            f"--master-addr {leader} --master-port {MASTER_PORT} --node-rank {rank}"
        )
        if role == "wkr":
            flags += " --headless"
            main = {k: v for k, v in main.items() if k not in PROBES}
            result["initContainers"] = [*(pod_spec.get("initContainers") or ()), _wait_for_leader(main, leader)]
        address = {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        env = [v for v in main.get("env") or () if v["name"] != address["name"]]
        main = {**with_flags(main, flags), "env": sorted([*env, address], key=lambda v: str(v["name"]))}
    elif engine * data > per_pod:
        local = per_pod // engine
        rank = "0" if role == "ldr" else f"$(({local} * (GROVE_PCLQ_POD_INDEX + 1)))"
        main = with_flags(
            main,
            f"--data-parallel-hybrid-lb --data-parallel-size-local {local} --data-parallel-start-rank {rank} "
            f"--data-parallel-address {leader} --data-parallel-rpc-port {DATA_PARALLEL_PORT}",
        )
    result["containers"] = [main, *others]
    return result


def _wait_for_leader(main: Json, leader: str) -> Json:
    attempt = f"import socket; socket.create_connection(('{leader}', {MASTER_PORT}), 5)"
    return {
        "name": "wait-for-leader-mp",
        "image": main.get("image", ""),
        "command": ["sh", "-c"],
        "args": [f'until python3 -c "{attempt}" 2>/dev/null; do sleep 2; done'],
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
    }


def _flag(words: Sequence[str], *spellings: str) -> int:
    """The number behind a flag, written `--flag N` or `--flag=N`; 1 when it is absent."""
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in spellings:
            value = value if equals else (words[position + 1] if position + 1 < len(words) else "")
            if value.isdigit():
                return int(value)
    return 1


def _text(container: Json) -> str:
    return " ".join([*(container.get("command") or ()), *(container.get("args") or ())])


def _quoted(word: str) -> str:
    """Quoted for the shell; Kubernetes' own $(VAR) is replaced before the shell sees it."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else shlex.quote(word)
