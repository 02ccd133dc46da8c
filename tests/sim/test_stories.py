"""Whole stories in simulated time: what a user applies, and what the cluster looks like afterwards."""

from __future__ import annotations

from collections import Counter

from grove_operator.api import conditions
from grove_operator.api.kinds import (
    DYNAMO_GRAPH_DEPLOYMENT,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    Json,
)
from grove_operator.engine.ports import Overloaded
from grove_operator.sim.apiserver import Request
from tests.sim.world import World, load, world

NS = "vllm-v1-disagg-router"
DECODE = "dynamo-grove-0-vllmdecodeworker"


def graph(w: World) -> Json:
    return w.api.objects(DYNAMO_GRAPH_DEPLOYMENT)[0]


def is_successful(w: World) -> bool:
    return bool(graph(w).get("status", {}).get("state") == "successful")


def uids(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def not_status(w: World) -> Counter[tuple[str, str]]:
    """The operator's writes without statuses and Events."""
    counted = w.api.count_writes("operator").items()
    return Counter({(verb, kind): n for (verb, kind, sub), n in counted if sub != "status" and kind != "Event"})


def leader_worker_group(replicas: int = 2) -> Json:
    def clique(name: str, pods: int) -> Json:
        spec: Json = {"roleName": name, "replicas": pods, "minAvailable": pods}
        return {"name": name, "spec": {**spec, "podSpec": {"containers": [{"name": "main", "image": "x"}]}}}

    template: Json = {
        "cliques": [clique("leader", 1), clique("worker", 3)],
        "podCliqueScalingGroups": [
            {"name": "decode", "cliqueNames": ["leader", "worker"], "replicas": replicas, "minAvailable": 1}
        ],
    }
    meta: Json = {"name": "llm", "namespace": "ml"}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": meta,
        "spec": {"replicas": 1, "template": template},
    }


def many_replicas(count: int) -> Json:
    pods: Json = {"containers": [{"name": "main", "image": "x"}]}
    clique: Json = {"name": "w", "spec": {"roleName": "w", "replicas": 2, "minAvailable": 2, "podSpec": pods}}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": "scale", "namespace": "ml"},
        "spec": {"replicas": count, "template": {"cliques": [clique]}},
    }


async def test_the_quickstart_reaches_ready_with_the_names_of_the_article() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        assert await w.clock.run_until(lambda: is_successful(w)) < 2.0
        shapes = sorted(name.rsplit("-", 1)[0] for name in w.names(POD))
        assert shapes == ["dynamo-grove-0-frontend", DECODE, DECODE, "dynamo-grove-0-vllmprefillworker"]
        assert all(conditions.is_true(pod, "Ready") for pod in w.api.objects(POD))
        assert w.names(POD_GANG) == ["dynamo-grove-0"]
        frontend = w.api.find(SERVICE, NS, "dynamo-grove-frontend")
        assert frontend is not None
        assert frontend["spec"]["ports"][0]["port"] == 8000
        clique = w.api.find(POD_CLIQUE, NS, DECODE)
        assert clique is not None
        assert clique["status"]["readyReplicas"] == 2


async def test_scaling_decode_from_two_to_four_replaces_nobody() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        await w.rest()
        before = uids(w.api.objects(POD))
        await w.api.patch(
            DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", {"spec": {"services": {"VllmDecodeWorker": {"replicas": 4}}}}
        )
        await w.clock.run_until(lambda: len(w.pods(DECODE)) == 4 and is_successful(w))
        await w.rest()
        after = uids(w.api.objects(POD))
        assert before < after
        assert len(after) == len(before) + 2
        assert all(conditions.is_true(pod, "Ready") for pod in w.api.objects(POD))
        gang = w.api.objects(POD_GANG)[0]
        references = {g["name"]: len(g["podReferences"]) for g in gang["spec"]["podgroups"]}
        assert references[DECODE] == 4
        assert graph(w)["status"]["services"]["VllmDecodeWorker"]["readyReplicas"] == 4


async def test_scaling_in_removes_only_the_newest_of_that_clique() -> None:
    async with world() as w:
        quickstart = load("quickstart.yaml")
        quickstart["spec"]["services"]["VllmDecodeWorker"]["replicas"] = 4
        await w.apply(quickstart)
        await w.rest()
        others = uids([p for p in w.api.objects(POD) if p not in w.pods(DECODE)])
        patch: Json = {"spec": {"services": {"VllmDecodeWorker": {"replicas": 1}}}}
        await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", patch)
        await w.rest()
        assert [p["metadata"]["labels"]["grove.io/podclique-pod-index"] for p in w.pods(DECODE)] == ["0"]
        assert others < uids(w.api.objects(POD))
        assert is_successful(w)


async def test_a_leader_worker_group_gets_a_base_gang_and_one_gang_for_each_further_replica() -> None:
    async with world() as w:
        await w.apply(leader_worker_group())
        await w.rest()
        assert w.names(POD_GANG) == ["llm-0", "llm-0-decode-0"]
        assert len(w.api.objects(POD)) == 8
        assert all(conditions.is_true(pod, "Ready") for pod in w.api.objects(POD))
        group = w.api.objects(SCALING_GROUP)[0]
        assert group["status"]["availableReplicas"] == group["status"]["updatedReplicas"] == 2
        pcs = w.api.objects(POD_CLIQUE_SET)[0]
        assert pcs["status"]["availableReplicas"] == pcs["status"]["updatedReplicas"] == 1
        await w.api.patch(SCALING_GROUP, "ml", "llm-0-decode", {"spec": {"replicas": 3}})
        await w.rest()
        assert len(w.api.objects(POD)) == 12
        assert "llm-0-decode-1" in w.names(POD_GANG)
        await w.api.patch(SCALING_GROUP, "ml", "llm-0-decode", {"spec": {"replicas": 1}})
        await w.rest()
        assert w.names(POD_GANG) == ["llm-0"]
        assert len(w.api.objects(POD)) == 4


async def test_pods_of_a_scaled_gang_stay_gated_until_the_base_gang_is_scheduled() -> None:
    async with world() as w:
        bindings: list[Request] = []

        def no_binding_of_the_base(request: Request) -> None:
            if request.subresource == "binding":
                bindings.append(request)
                if "decode-0-" in request.name:
                    raise Overloaded("the scheduler has no room for the base gang")

        w.api.before_request(no_binding_of_the_base)
        await w.apply(leader_worker_group())
        await w.rest()
        gated = [p for p in w.api.objects(POD) if p["spec"].get("schedulingGates")]
        assert {p["metadata"]["labels"]["grove.io/podgang"] for p in gated} == {"llm-0-decode-0"}
        assert len(gated) == 4
        assert not [b for b in bindings if "decode-1-" in b.name]


async def test_the_worked_example_is_ordered_through_init_containers_and_token() -> None:
    async with world() as w:
        await w.apply(load("worked-example.yaml"))
        await w.rest()
        assert w.names(POD_GANG) == ["svc-0", "svc-0-pre-0", "svc-0-pre-1"]
        assert w.names(SECRET) == ["svc-ic-sat"]
        arguments = {
            clique: [c["args"] for c in w.pods(clique)[0]["spec"].get("initContainers", [])]
            for clique in ("svc-0-fe", "svc-0-pre-0-lead", "svc-0-pre-0-work", "svc-0-pre-1-lead", "svc-0-pre-1-work")
        }
        assert arguments == {
            "svc-0-fe": [],
            "svc-0-pre-0-lead": [["--podcliques=svc-0-fe:1"]],
            "svc-0-pre-0-work": [["--podcliques=svc-0-pre-0-lead:1"]],
            "svc-0-pre-1-lead": [],
            "svc-0-pre-1-work": [["--podcliques=svc-0-pre-1-lead:1"]],
        }


async def test_nothing_is_written_at_rest_not_even_when_every_watch_starts_over() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        await w.apply(load("worked-example.yaml"))
        await w.rest()
        before = w.writes_of("operator")
        w.api.compact()
        await w.rest(86_400)
        assert w.writes_of("operator") == before


async def test_deleting_the_graph_leaves_nothing() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        await w.rest()
        await w.api.delete(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove")
        await w.rest()
        assert w.everything() == []


async def test_a_deleted_pod_is_replaced_at_its_index_and_joins_its_gang() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        await w.rest()
        victim = w.pods(DECODE)[0]
        await w.api.delete(POD, NS, victim["metadata"]["name"])
        await w.rest()
        pods = w.pods(DECODE)
        assert victim["metadata"]["uid"] not in uids(pods)
        assert victim["metadata"]["name"] not in {p["metadata"]["name"] for p in pods}
        assert sorted(p["spec"]["hostname"] for p in pods) == [f"{DECODE}-0", f"{DECODE}-1"]
        assert all(conditions.is_true(pod, "Ready") for pod in pods)


async def test_scaling_a_set_in_removes_the_highest_replicas_with_their_services() -> None:
    async with world() as w:
        await w.apply(many_replicas(4))
        await w.rest()
        await w.api.patch(POD_CLIQUE_SET, "ml", "scale", {"spec": {"replicas": 2}})
        await w.rest()
        assert w.names(POD_CLIQUE) == ["scale-0-w", "scale-1-w"]
        assert w.names(SERVICE) == ["scale-0", "scale-1"]
        assert w.names(POD_GANG) == ["scale-0", "scale-1"]
        assert len(w.api.objects(POD)) == 4


async def test_fifty_replicas_of_two_pods_cost_at_most_seven_writes_a_pod() -> None:
    async with world() as w:
        await w.apply(many_replicas(50))
        await w.rest()
        assert all(conditions.is_true(pod, "Ready") for pod in w.api.objects(POD))
        pods = len(w.api.objects(POD))
        assert pods == 100
        # the test's scheduler writes no PodGang status: 1 for each gang is added for a real one
        writes = w.writes_of("operator") + w.writes_of("scheduler") + len(w.api.objects(POD_GANG))
        assert writes / pods <= 7.0


async def test_a_late_watch_makes_no_duplicate_and_no_second_write() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        await w.rest()
        punctual = not_status(w)
    async with world() as w:
        w.api.delay_watches(5.0)
        await w.apply(load("quickstart.yaml"))
        await w.rest(120)
        assert is_successful(w)
        assert len(w.api.objects(POD)) == 4
        assert not_status(w) == punctual  # statuses may come in more steps; nothing else may


async def test_an_object_of_somebody_else_is_never_taken_over_and_the_status_says_so() -> None:
    async with world() as w:
        theirs: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "scale-0", "namespace": "ml"}}
        w.api.seed({**theirs, "spec": {"selector": {"app": "theirs"}}})
        await w.apply(many_replicas(2))
        await w.rest()
        service = w.api.find(SERVICE, "ml", "scale-0")
        assert service is not None
        assert service["spec"] == {"selector": {"app": "theirs"}}
        errors = w.api.objects(POD_CLIQUE_SET)[0]["status"]["lastErrors"]
        assert [e["code"] for e in errors] == ["ERR_OWNERSHIP_CONFLICT"]
        assert "service ml/scale-0" in errors[0]["description"]
        assert len(w.api.objects(POD)) == 4
        before = w.writes_of("operator")
        await w.rest(600)
        assert w.writes_of("operator") == before
        await w.api.delete(SERVICE, "ml", "scale-0")
        await w.rest(120)
        assert "lastErrors" not in w.api.objects(POD_CLIQUE_SET)[0]["status"]
        assert w.names(SERVICE) == ["scale-0", "scale-1"]


async def test_with_on_delete_a_changed_template_reaches_only_new_pods() -> None:
    async with world() as w:
        pcs = many_replicas(1)
        pcs["spec"]["updateStrategy"] = {"type": "OnDelete"}
        await w.apply(pcs)
        await w.rest()
        before = uids(w.api.objects(POD))
        changed = many_replicas(1)["spec"]["template"]["cliques"]
        changed[0]["spec"]["podSpec"]["containers"][0]["image"] = "y"
        await w.api.patch(POD_CLIQUE_SET, "ml", "scale", {"spec": {"template": {"cliques": changed}}})
        await w.rest()
        assert uids(w.api.objects(POD)) == before
        await w.api.patch(POD_CLIQUE, "ml", "scale-0-w", {"spec": {"replicas": 3}})
        await w.rest()
        images = sorted(p["spec"]["containers"][0]["image"] for p in w.api.objects(POD))
        assert images == ["x", "x", "y"]
        assert w.api.objects(POD_CLIQUE)[0]["status"]["updatedReplicas"] == 1
