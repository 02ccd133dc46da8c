"""A Dynamo graph with one frontend, one prefill and two decode workers."""

import pulumi

from grove_components import DynamoGraphDeployment

IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1"


def worker(replicas: int, *flags: str) -> dict:
    command = ["python3", "-m", "dynamo.vllm", "--model", "Qwen/Qwen3-0.6B", *flags]
    pod = {"mainContainer": {"image": IMAGE, "command": command}}
    return {"componentType": "worker", "replicas": replicas, "resources": {"limits": {"gpu": "1"}}, "extraPodSpec": pod}


services = {
    "Frontend": {"componentType": "frontend", "extraPodSpec": {"mainContainer": {"image": IMAGE}}},
    "Decode": worker(2),
    "Prefill": worker(1, "--is-prefill-worker"),
}
graph = DynamoGraphDeployment("chat", namespace="default", spec={"services": services})
pulumi.export("state", graph.state)
