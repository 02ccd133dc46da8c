"""Dynamo graphs over time: scaling through adapters, restarts in turn, shortened names, shared accounts."""

from __future__ import annotations

from typing import Any

from grove_operator.api import conditions
from grove_operator.api.kinds import (
    DYNAMO_GRAPH_DEPLOYMENT,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_ADAPTER,
    SCALING_GROUP,
    SECRET,
    SERVICE_ACCOUNT,
    Json,
)
from grove_operator.dynamo.settings import DynamoSettings
from grove_operator.engine.operator import Operator
from grove_operator.engine.surroundings import KAI_QUEUE, Surroundings
from tests.sim.world import World, load, world

NS = "vllm-v1-disagg-router"
DECODE, ADAPTER = "dynamo-grove-0-vllmdecodeworker", "dynamo-grove-vllmdecodeworker"


def quickstart(**decode: Any) -> Json:
    graph = load("quickstart.yaml")
    graph["spec"]["services"]["VllmDecodeWorker"] |= decode
    return graph


async def graph_of(w: World, name: str = "dynamo-grove") -> Json:
    return await w.api.get(DYNAMO_GRAPH_DEPLOYMENT, NS, name)


async def test_an_adapter_starts_from_the_graphs_number_and_leads_from_then_on() -> None:
    async with world() as w:
        await w.apply(quickstart(scalingAdapter={"enabled": True}))
        await w.rest()
        adapter = await w.api.get(SCALING_ADAPTER, NS, ADAPTER)
        assert adapter["spec"] == {
            "replicas": 2,
            "dgdRef": {"name": "dynamo-grove", "serviceName": "VllmDecodeWorker"},
        }
        assert adapter["status"]["replicas"] == 2
        assert adapter["status"]["selector"] == "nvidia.com/selector=dynamo-grove-vllmdecodeworker"
        await w.api.patch(SCALING_ADAPTER, NS, ADAPTER, {"spec": {"replicas": 4}})
        await w.rest()
        assert len(w.pods(DECODE)) == 4
        graph = await graph_of(w)
        assert graph["spec"]["services"]["VllmDecodeWorker"]["replicas"] == 4
        assert graph["status"]["state"] == "successful"
        adapter = await w.api.get(SCALING_ADAPTER, NS, ADAPTER)
        assert adapter["status"]["replicas"] == 4
        assert adapter["status"]["lastScaleTime"]


async def test_the_graph_says_who_owns_its_replicas_and_nothing_fights_at_rest() -> None:
    async with world() as w:
        await w.apply(quickstart(scalingAdapter={"enabled": True}))
        await w.rest()
        owner = conditions.find(await graph_of(w), "ReplicasOwnedByAdapters")
        assert owner is not None
        assert f"VllmDecodeWorker: {ADAPTER}" in owner["message"]
        before = w.writes_of("operator")
        await w.rest(600)
        assert w.writes_of("operator") == before


async def test_an_edit_of_the_graphs_number_is_undone_while_an_adapter_owns_it() -> None:
    async with world() as w:
        await w.apply(quickstart(scalingAdapter={"enabled": True}))
        await w.rest()
        edit = {"spec": {"services": {"VllmDecodeWorker": {"replicas": 7}}}}
        await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", edit)
        await w.rest()
        assert (await graph_of(w))["spec"]["services"]["VllmDecodeWorker"]["replicas"] == 2
        assert len(w.pods(DECODE)) == 2


async def test_without_its_adapter_the_graph_rules_again_from_where_it_was() -> None:
    async with world() as w:
        await w.apply(quickstart(scalingAdapter={"enabled": True}))
        await w.rest()
        await w.api.patch(SCALING_ADAPTER, NS, ADAPTER, {"spec": {"replicas": 3}})
        await w.rest()
        off = {"spec": {"services": {"VllmDecodeWorker": {"scalingAdapter": {"enabled": False}}}}}
        await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", off)
        await w.rest()
        assert w.names(SCALING_ADAPTER) == []
        assert len(w.pods(DECODE)) == 3
        assert conditions.find(await graph_of(w), "ReplicasOwnedByAdapters") is None


async def test_a_component_scaled_to_zero_by_its_adapter_comes_back() -> None:
    async with world() as w:
        await w.apply(quickstart(scalingAdapter={"enabled": True}))
        await w.rest()
        for number in (0, 2):
            await w.api.patch(SCALING_ADAPTER, NS, ADAPTER, {"spec": {"replicas": number}})
            await w.rest()
            assert len(w.pods(DECODE)) == number
            assert (await graph_of(w))["status"]["state"] == "successful"


async def restarted(w: World, **strategy: Any) -> list[tuple[str, ...]]:
    """The components in progress, step by step, of a restart that runs to its end."""
    await w.apply(quickstart())
    await w.rest()
    asked = {"id": "1"} | ({"strategy": strategy} if strategy else {})
    await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", {"spec": {"restart": asked}})
    steps: list[tuple[str, ...]] = []
    for _ in range(600):
        await w.clock.advance(0.5)
        status = (await graph_of(w))["status"].get("restart") or {}
        moving = tuple(status.get("inProgress", ()))
        if moving and (not steps or steps[-1] != moving):
            steps.append(moving)
        if status.get("phase") == "Completed":
            return steps
    raise AssertionError(f"the restart didn't end; it went {steps}")


async def test_a_restart_goes_from_component_to_component_and_renews_every_pod() -> None:
    async with world(start_s=2.0) as w:
        steps = await restarted(w)
        assert steps == [("Frontend",), ("VllmDecodeWorker",), ("VllmPrefillWorker",)]
        for clique in w.names(POD_CLIQUE):
            assert all(p["metadata"]["annotations"]["nvidia.com/restartAt"] == "1" for p in w.pods(clique))
        assert (await graph_of(w))["status"]["state"] == "successful"


async def test_a_restart_follows_the_order_that_is_asked_for() -> None:
    async with world(start_s=2.0) as w:
        order = ["VllmPrefillWorker", "VllmDecodeWorker", "Frontend"]
        assert await restarted(w, order=order) == [(name,) for name in order]


async def test_a_parallel_restart_has_one_step() -> None:
    async with world(start_s=2.0) as w:
        steps = await restarted(w, type="Parallel")
        assert steps[0] == ("Frontend", "VllmDecodeWorker", "VllmPrefillWorker")


async def test_pods_don_t_roll_again_when_the_restart_is_taken_out_of_the_graph() -> None:
    async with world(start_s=2.0) as w:
        await restarted(w)
        names = {p["metadata"]["name"] for clique in w.names(POD_CLIQUE) for p in w.pods(clique)}
        await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", {"spec": {"restart": None}})
        await w.rest(120)
        assert {p["metadata"]["name"] for clique in w.names(POD_CLIQUE) for p in w.pods(clique)} == names


async def test_a_long_name_is_shortened_said_and_works_to_the_end() -> None:
    async with world() as w:
        graph = quickstart()
        worker = graph["spec"]["services"].pop("VllmDecodeWorker")
        graph["metadata"]["name"] = "a-graph-with-a-rather-long-name"
        graph["spec"]["services"]["Decode"] = worker | {"multinode": {"nodeCount": 2}, "replicas": 1}
        graph["spec"]["services"]["LongPrefill"] = graph["spec"]["services"].pop("VllmPrefillWorker") | {
            "multinode": {}
        }
        await w.apply(graph)
        await w.rest()
        (name,) = w.names(POD_CLIQUE_SET)
        assert len(name) + 2 * len("longprefill") + 4 <= 45
        live = await graph_of(w, "a-graph-with-a-rather-long-name")
        assert live["status"]["state"] == "successful"
        said = conditions.find(live, "NameShortened")
        assert said is not None
        assert name in said["message"]
        assert f"{name}-0-decode" in w.names(SCALING_GROUP)


async def test_two_graphs_of_a_namespace_share_the_planners_account() -> None:
    async with world() as w:
        for name in ("one", "two"):
            graph = quickstart()
            graph["metadata"]["name"] = name
            graph["spec"]["services"] = {"Planner": {"componentType": "planner"}}
            await w.apply(graph)
            await w.rest()
            assert (await graph_of(w, name))["status"]["state"] == "successful"
        await w.api.delete(DYNAMO_GRAPH_DEPLOYMENT, NS, "one")
        await w.rest()
        assert "planner-serviceaccount" in w.names(SERVICE_ACCOUNT)


async def test_the_worst_placement_of_a_graphs_gangs_is_the_graphs() -> None:
    async with world() as w:
        await w.apply(quickstart(multinode={"nodeCount": 2}))
        await w.rest()
        assert "placement" not in (await graph_of(w))["status"]
        base, scaled = sorted(w.names(POD_GANG))
        await w.api.patch(POD_GANG, NS, base, {"status": {"placementScore": 1.0}}, subresource="status")
        await again(w)
        assert (await graph_of(w))["status"]["placement"] == {"score": 1.0, "state": "Partial"}
        await w.api.patch(POD_GANG, NS, scaled, {"status": {"placementScore": 0.5}}, subresource="status")
        await again(w)
        assert (await graph_of(w))["status"]["placement"] == {"score": 0.5, "state": "Reported"}


async def again(w: World) -> None:
    """Something that makes the operator look at the graph once more."""
    name = str(w.clock.monotonic())
    await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", {"metadata": {"labels": {"at": name}}})
    await w.rest()


async def test_a_graph_that_cannot_be_mapped_any_more_says_why_and_keeps_what_runs() -> None:
    async with world() as w:
        await w.apply(quickstart())
        await w.rest()
        before = w.everything()
        other = {"spec": {"backendFramework": "sglang"}}
        await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", other)
        await w.rest()
        live = await graph_of(w)
        assert live["status"]["state"] == "failed"
        ready = conditions.find(live, "Ready")
        assert ready is not None
        assert "runs dynamo.vllm, but backendFramework is sglang" in ready["message"]
        assert w.everything() == before


def looking_around(w: World) -> None:
    """The world's operator sees what others made, as the real one does."""
    api = w.api.as_user("operator")
    around = Surroundings(api, w.clock, "grove-system", "mpi-run-ssh-secret", has_kai=True)
    w.operator = Operator(api, w.clock, surroundings=around, dynamo=DynamoSettings(scheduler="kai-scheduler"))
    w.start_given_operator()


async def test_a_graph_that_waits_for_a_queue_and_for_keys_goes_on_when_they_come() -> None:
    async with world() as w:
        await w.stop_operator()
        looking_around(w)
        graph = quickstart(multinode={"nodeCount": 2})
        graph["spec"]["services"]["VllmDecodeWorker"]["extraPodSpec"]["mainContainer"]["command"] = [
            *("python3", "-m", "dynamo.trtllm")
        ]
        await w.apply(graph)
        await w.rest()
        ready = conditions.find(await graph_of(w), "Ready")
        assert ready is not None
        assert "KAI has no queue dynamo" in ready["message"]
        assert not (await w.api.list(POD_CLIQUE_SET, namespace=NS)).items
        await w.api.create(KAI_QUEUE, None, {"metadata": {"name": "dynamo"}, "spec": {}})
        await w.rest()
        assert (await w.api.list(POD_CLIQUE_SET, namespace=NS)).items
        ready = conditions.find(await graph_of(w), "Ready")
        assert ready is not None
        assert "mpi-run-ssh-secret is missing" in ready["message"]
        keys: Json = {"metadata": {"name": "mpi-run-ssh-secret"}, "data": {"private.key": "eA=="}}
        await w.api.create(SECRET, "grove-system", keys)
        await w.rest()
        assert (await w.api.get(SECRET, NS, "mpi-run-ssh-secret"))["data"] == keys["data"]
        ready = conditions.find(await graph_of(w), "Ready")
        assert ready is not None
        assert "missing" not in ready["message"]


async def test_a_graph_may_ask_for_a_further_replica_during_updates_and_is_as_many_as_it_says_all_the_while() -> None:
    async with world(start_s=5.0) as w:
        graph = quickstart()
        graph["spec"]["annotations"] = {"grove.io/rollout-max-surge": "1"}
        await w.apply(graph)
        await w.rest()
        before = {p["metadata"]["uid"] for p in w.pods(DECODE)}
        service = graph["spec"]["services"]["VllmDecodeWorker"]
        service["extraPodSpec"]["mainContainer"]["image"] += "-next"
        services = {"VllmDecodeWorker": service}
        await w.api.patch(DYNAMO_GRAPH_DEPLOYMENT, NS, "dynamo-grove", {"spec": {"services": services}})
        further = DECODE.replace("-0-", "-1-")
        await w.clock.run_until(lambda: len(w.pods(further)) == 2)
        assert {p["metadata"]["uid"] for p in w.pods(DECODE)} == before
        await w.rest(120)
        assert w.pods(further) == []
        assert not before & {p["metadata"]["uid"] for p in w.pods(DECODE)}
        assert (await graph_of(w))["status"]["state"] == "successful"
