"""`grove snapshot`: what leaves a cluster in a dump, and that it reads back as the same problem."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grove_operator.api import kinds
from grove_operator.api.kinds import Json
from grove_operator.engine.ports import Invalid, NotFound
from grove_operator.engine.whatif.documents import parse, render
from grove_operator.engine.whatif.dump import dump_cluster
from grove_operator.engine.whatif.inputs import gather
from grove_operator.engine.whatif.problem import problem
from grove_operator.engine.whatif.redaction import redacted
from grove_operator.sim.apiserver import Request, SimApi
from grove_operator.sim.clock import SimClock
from tests.unit.whatif.manifests import RACKS, clique_set, gang, node, pod

SECRET = "s3cr3t"


def leaky_container() -> Json:
    return {
        "name": "c",
        "image": "x",
        "command": ["serve", f"--token={SECRET}"],
        "args": [SECRET],
        "env": [{"name": "TOKEN", "value": SECRET}],
        "envFrom": [{"configMapRef": {"name": SECRET}}],
        "lifecycle": {"preStop": {"exec": {"command": [SECRET]}}},
        "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": SECRET}]}},
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "ports": [{"containerPort": 80, "hostPort": 8080}],
    }


def leaky_meta(name: str) -> Json:
    return {
        "name": name,
        "namespace": "ns",
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": SECRET,
            "vault.example/token": SECRET,
            "grove.io/topology-name": "default",
        },
        "managedFields": [{"manager": SECRET}],
    }


def leaky_objects() -> list[Json]:
    running = pod("p", on="a")
    running["metadata"] = leaky_meta("p")
    running["spec"] |= {
        "containers": [leaky_container()],
        "initContainers": [leaky_container()],
        "imagePullSecrets": [{"name": SECRET}],
        "volumes": [
            {"name": "inline", "csi": {"volumeAttributes": {"password": SECRET}}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        ],
        "nodeSelector": {"rack": "r1"},
    }
    running["status"] = {"phase": "Running", "message": SECRET, "conditions": [{"type": "Ready", "status": "True"}]}
    web = clique_set("web")
    web["metadata"] = leaky_meta("web")
    web["spec"]["template"]["cliques"][0]["spec"]["podSpec"] = {"containers": [leaky_container()]}
    graph: Json = {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": leaky_meta("graph"),
        "spec": {
            "envs": [{"name": "T", "value": SECRET}],
            "services": {
                "W": {
                    "envs": [{"name": "T", "value": SECRET}],
                    "annotations": {"vault.example/token": SECRET},
                    "extraPodSpec": {"mainContainer": leaky_container(), "tolerations": [{"operator": "Exists"}]},
                }
            },
        },
    }
    machine = node("a", 4)
    machine["metadata"]["annotations"] = {"cloud.example/key": SECRET}
    machine["status"]["images"] = [{"names": [SECRET]}]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"}, "data": {"x": SECRET}}
    return [machine, RACKS, running, gang("g", "p"), web, graph, secret]


def cluster(*objects: Json) -> SimApi:
    api = SimApi(SimClock())
    api.seed(*objects)
    return api


def items(listing: Json, kind: str) -> dict[str, Any]:
    return {o["metadata"]["name"]: o for o in listing["items"] if o["kind"] == kind}


async def test_nothing_secret_leaves_the_cluster() -> None:
    text = json.dumps(await dump_cluster(cluster(*leaky_objects())))
    assert SECRET not in text
    assert "managedFields" not in text
    assert '"Secret"' not in text


async def test_a_dump_is_a_plain_list_that_needs_nothing_else_to_be_read() -> None:
    listing = await dump_cluster(cluster(*leaky_objects()))
    assert (listing["apiVersion"], listing["kind"]) == ("v1", "List")
    for name in ("now.yaml", "now.json"):
        assert parse(render(listing, name), name) == listing["items"]


async def test_what_scheduling_reads_is_all_there() -> None:
    objects = leaky_objects()
    listing = await dump_cluster(cluster(*objects))
    dumped, whole = problem(gather((), listing["items"])), problem(gather((), objects))
    assert dumped.snapshot == whole.snapshot
    assert [(g.key, g.podgroups) for g in dumped.gangs] == [(g.key, g.podgroups) for g in whole.gangs]
    assert items(listing, "Pod")["p"]["metadata"]["annotations"] == {"grove.io/topology-name": "default"}
    kept = items(listing, "DynamoGraphDeployment")["graph"]["spec"]["services"]["W"]["extraPodSpec"]
    assert kept["tolerations"] == [{"operator": "Exists"}]


async def test_of_other_namespaces_only_what_pods_hold_is_dumped() -> None:
    other = pod("theirs", 2, on="a")
    other["metadata"] = {"name": "theirs", "namespace": "other", "labels": {"team": "x"}}
    waiting = pod("waiting")
    waiting["metadata"]["namespace"] = "other"
    foreign_gang = gang("theirs", "theirs")
    foreign_gang["metadata"]["namespace"] = "other"
    api = cluster(node("a", 4), pod("p", on="a"), gang("g", "p"), other, waiting, foreign_gang)
    listing = await dump_cluster(api, "ns")
    assert sorted(items(listing, "Pod")) == ["p", "theirs"]
    assert "labels" not in items(listing, "Pod")["theirs"]["metadata"]
    assert list(items(listing, "PodGang")) == ["g"]
    (there,) = problem(gather((), listing["items"])).snapshot.nodes
    assert dict(there.used)["nvidia.com/gpu"] == 3


async def test_grove_without_dynamo_and_classes_that_may_not_be_read_are_fine_other_refusals_are_not() -> None:
    api = cluster(node("a", 4))

    def refuse(request: Request) -> None:
        if request.kind == kinds.DYNAMO_GRAPH_DEPLOYMENT.kind:
            raise NotFound("no such resource")
        if request.kind == kinds.PRIORITY_CLASS.kind:
            raise Invalid("forbidden", status=403)

    api.before_request(refuse)
    assert list(items(await dump_cluster(api), "Node")) == ["a"]

    def refuse_pods(request: Request) -> None:
        if request.kind == kinds.POD.kind:
            raise Invalid("forbidden", status=403)

    api.before_request(refuse_pods)
    with pytest.raises(Invalid):
        await dump_cluster(api)


async def test_a_dump_writes_nothing() -> None:
    api = cluster(*leaky_objects())
    await dump_cluster(api)
    assert api.writes == []


def test_of_volumes_only_the_nodes_that_can_use_them_leave_the_cluster() -> None:
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]}}
    source = {"driver": "x", "volumeAttributes": {"password": "s3cret"}, "nodePublishSecretRef": {"name": "s3cret"}}
    volume: Json = {"metadata": {"name": "v"}, "spec": {"nodeAffinity": affinity, "csi": source}}
    assert redacted(volume, kinds.PERSISTENT_VOLUME)["spec"] == {"nodeAffinity": affinity}
    claim: Json = {
        "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"volumeName": "v", "dataSource": {"name": "s3cret"}},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    }
    said = redacted(claim, kinds.PERSISTENT_VOLUME_CLAIM)
    assert (said["spec"], said["status"]) == ({"volumeName": "v"}, {"phase": "Bound"})
