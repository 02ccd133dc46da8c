"""Builders of the manifests that these tests bend out of shape."""

from __future__ import annotations

import copy
from typing import Any

from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import Json

TOPOLOGY: Json = {
    "apiVersion": "grove.io/v1alpha1",
    "kind": "ClusterTopologyBinding",
    "metadata": {"name": "default"},
    "spec": {
        "levels": [
            {"domain": "zone", "key": "topology.kubernetes.io/zone"},
            {"domain": "block", "key": "topology.kubernetes.io/block"},
            {"domain": "rack", "key": "topology.kubernetes.io/rack"},
        ]
    },
}


def clique(name: str, *, replicas: int = 1, pod: Json | None = None, **spec: Any) -> Json:
    containers = [{"name": "main", "image": "example.test/serve:1"}]
    return {
        "name": name,
        "spec": {"roleName": name, "replicas": replicas, "podSpec": {"containers": containers, **(pod or {})}, **spec},
    }


def pcs(*cliques: Json, name: str = "web", groups: list[Json] | None = None, **template: Any) -> Json:
    """A PodCliqueSet with its defaults, as the validating webhook sees it."""
    template = {"cliques": list(cliques), **template}
    if groups:
        template["podCliqueScalingGroups"] = groups
    manifest = {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "template": template},
    }
    return default_podcliqueset(manifest, with_schema_defaults=True)


def leader_worker(name: str = "web") -> Json:
    group = {"name": "decode", "cliqueNames": ["leader", "worker"], "replicas": 2}
    return pcs(clique("router"), clique("leader"), clique("worker", replicas=3), name=name, groups=[group])


def everything() -> Json:
    """A valid set that uses every part of the API at once (with TOPOLOGY)."""
    out = leader_worker()
    out["metadata"] |= {"labels": {"kai.scheduler/queue": "q"}, "annotations": {"grove.io/mnnvl-group": "none"}}
    out["spec"]["replicaSpreadConstraints"] = [
        {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    ]
    template = out["spec"]["template"]
    template |= {
        "cliqueStartupType": "CliqueStartupTypeExplicit",
        "priorityClassName": "high",
        "topologyConstraint": {"topologyName": "default", "pack": {"required": "zone", "preferred": "rack"}},
        "resourceClaimTemplates": [
            {"name": "nics", "templateSpec": {"spec": {"devices": {"requests": [{"name": "n"}]}}}}
        ],
        "resourceSharing": [
            {
                "name": "nics",
                "scope": "PerReplica",
                "filter": {"childCliqueNames": ["router"], "childScalingGroupNames": ["decode"]},
            }
        ],
    }
    router, leader, _ = template["cliques"]
    router |= {
        "labels": {"team": "a"},
        "annotations": {"example.test/note": "x"},
        "topologyConstraint": {"pack": {"required": "rack"}},
        "resourceSharing": [{"name": "shared", "namespace": "other", "scope": "AllReplicas"}],
        "rollingUpdate": {"maxUnavailable": 1, "progressDeadline": "1m"},
    }
    router["spec"]["autoScalingConfig"] = {"minReplicas": 1, "maxReplicas": 3, "metrics": [{"type": "Resource"}]}
    router["spec"]["podSpec"]["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    leader["spec"]["startsAfter"] = ["router"]
    (group,) = template["podCliqueScalingGroups"]
    group |= {
        "annotations": {"example.test/note": "x"},
        "scaleConfig": {"minReplicas": 1, "maxReplicas": 4},
        "resourceSharing": [{"name": "nics", "scope": "AllReplicas", "filter": {"childCliqueNames": ["leader"]}}],
        "topologyConstraint": {"pack": {"required": "block"}},
        "rollingUpdate": {"maxUnavailable": 1},
    }
    return out


def podgangset() -> Json:
    """A set of an early release, with all that it could say."""
    spec = {
        "replicas": 2,
        "replicaSpreadConstraints": [
            {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"},
        ],
        "template": {
            "cliques": [clique("router"), clique("leader"), clique("worker", replicas=3)],
            "cliqueStartupType": "CliqueStartupTypeInOrder",
            "priorityClassName": "high",
            "headlessServiceConfig": {"publishNotReadyAddresses": True},
            "schedulingPolicyConfig": {"networkPackGroupConfigs": [{"cliqueNames": ["leader", "worker"]}]},
            "terminationDelay": "1m",
            "podCliqueScalingGroups": [
                {"name": "decode", "cliqueNames": ["leader", "worker"], "scaleConfig": {"maxReplicas": 3}}
            ],
        },
    }
    metadata = {"name": "web", "namespace": "default"}
    return {"apiVersion": "grove.io/v1alpha1", "kind": "PodGangSet", "metadata": metadata, "spec": spec}


def graph(**services: Json) -> Json:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "dynamo-grove"},
        "spec": {"services": services},
    }


def quickstart() -> Json:
    """The graph of the article that the project's first issue is about."""

    def worker(replicas: int, *flags: str) -> Json:
        return {
            "dynamoNamespace": "vllm-v1-disagg-router",
            "componentType": "worker",
            "replicas": replicas,
            "envFromSecret": "hf-token-secret",
            "resources": {"limits": {"gpu": "1"}},
            "extraPodSpec": {
                "mainContainer": {
                    "image": "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1",
                    "workingDir": "/workspace/components/backends/vllm",
                    "command": ["python3", "-m", "dynamo.vllm"],
                    "args": ["--model", "Qwen/Qwen3-0.6B", *flags],
                }
            },
        }

    frontend = {
        "dynamoNamespace": "vllm-v1-disagg-router",
        "componentType": "frontend",
        "replicas": 1,
        "envs": [{"name": "DYN_ROUTER_MODE", "value": "kv"}],
        "extraPodSpec": {"mainContainer": {"image": "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1"}},
    }
    return graph(Frontend=frontend, VllmDecodeWorker=worker(2), VllmPrefillWorker=worker(1, "--is-prefill-worker"))


def changed(manifest: Json, place: str, value: Any) -> Json:
    """A copy with one field set; `place` is dotted, list indices are numbers: `spec.template.cliques.0.name`."""
    out = copy.deepcopy(manifest)
    *parents, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    here: Any = out
    for part in parents:
        here = here[part] if isinstance(part, int) else here.setdefault(part, {})
    here[last] = value
    return out
