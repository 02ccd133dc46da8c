"""Two equal vLLM workers behind a router: the smallest system, one gang."""

import pulumi

from grove_components import Packing, PodCliqueSet, Role, aggregated

IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1"
frontend = Role(IMAGE, command=["python3", "-m", "dynamo.frontend"])
worker = Role(
    IMAGE,
    replicas=2,
    gpus=1,
    command=["python3", "-m", "dynamo.vllm"],
    args=["--model", "Qwen/Qwen3-0.6B"],
)
chat = PodCliqueSet(
    "chat",
    namespace="default",
    spec=aggregated(worker, frontend=frontend, packing=Packing(preferred="rack")),
)
pulumi.export("availableReplicas", chat.available_replicas)
