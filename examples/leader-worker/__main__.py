"""Two instances of a model that spans eight nodes: each whole inside one NVLink domain, or not at all."""

import pulumi

from grove_components import Instances, PodCliqueSet, Role, leader_worker

IMAGE = "nvcr.io/nvidia/ai-dynamo/sglang-runtime:0.5.1"
SGLANG = ["python3", "-m", "dynamo.sglang", "--model-path", "deepseek-ai/DeepSeek-R1"]
instance = Instances(
    leader=Role(IMAGE, gpus=4, command=SGLANG),
    workers=Role(IMAGE, gpus=4, replicas=7, command=SGLANG),
    count=2,
    pack="nvlink",
)
router = Role(IMAGE, command=["python3", "-m", "dynamo.frontend"])
spec = leader_worker(instance, frontend=router)
served = PodCliqueSet("served", namespace="default", spec=spec, timeout="30m", on_immutable_change="replace")
pulumi.export("availableReplicas", served.available_replicas)
