"""Prefill and decode apart, in one rack: each scales alone, and the KV cache travels a short way."""

import pulumi

from grove_components import Packing, PodCliqueSet, Role, disaggregated

IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1"
VLLM = ["python3", "-m", "dynamo.vllm", "--model", "Qwen/Qwen3-0.6B"]
spec = disaggregated(
    frontend=Role(IMAGE, command=["python3", "-m", "dynamo.frontend"]),
    prefill=Role(IMAGE, gpus=1, command=[*VLLM, "--is-prefill-worker"]),
    decode=Role(IMAGE, gpus=1, replicas=2, min_available=1, command=VLLM),
    packing=Packing(required="rack"),
)
chat = PodCliqueSet("chat", namespace="default", spec=spec)
pulumi.export("availableReplicas", chat.available_replicas)
