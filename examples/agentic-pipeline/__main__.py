"""An agent of three models, one gang: a planner, a coder of four nodes and a critic; the frontend starts last."""

import pulumi

from grove_components import Instances, Packing, PodCliqueSet, Role, pipeline

IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1"


def model(name: str, gpus: int, replicas: int = 1) -> Role:
    return Role(IMAGE, gpus=gpus, replicas=replicas, command=["python3", "-m", "dynamo.vllm"], args=["--model", name])


coder = model("Qwen/Qwen3-Coder-480B-A35B-Instruct", 8)
stages = {
    "planner": model("meta-llama/Llama-3.3-70B-Instruct", 4),
    "coder": Instances(leader=coder, workers=model("Qwen/Qwen3-Coder-480B-A35B-Instruct", 8, 3), pack="rack"),
    "critic": model("Qwen/Qwen3-8B", 1, replicas=2),
}
frontend = Role(IMAGE, command=["python3", "-m", "dynamo.frontend"])
agent = PodCliqueSet(
    "agent", namespace="default", spec=pipeline(stages, frontend=frontend, packing=Packing(preferred="block"))
)
pulumi.export("availableReplicas", agent.available_replicas)
