"""A router and two model instances: an instance is a leader with three workers, scheduled whole and in one rack."""

import pulumi

from grove_components import PodCliqueSet


def clique(name: str, replicas: int, **limits: str) -> dict:
    resources = {"requests": {"cpu": "1"}, "limits": limits}
    container = {"name": "main", "image": "registry.example/serve:1", "args": [f"--role={name}"]}
    pod = {"containers": [{**container, "resources": resources}]}
    return {"name": name, "spec": {"roleName": name, "replicas": replicas, "podSpec": pod}}


one_gpu = {"nvidia.com/gpu": "1"}
cliques = [clique("router", 1, memory="1Gi"), clique("leader", 1, **one_gpu), clique("worker", 3, **one_gpu)]
in_one_rack = {"topologyName": "default", "pack": {"required": "rack"}}
model = {"name": "model", "cliqueNames": ["leader", "worker"], "replicas": 2, "topologyConstraint": in_one_rack}
spec = {"replicas": 1, "template": {"cliques": cliques, "podCliqueScalingGroups": [model]}}

served = PodCliqueSet("served", namespace="default", spec=spec)
pulumi.export("availableReplicas", served.available_replicas)
