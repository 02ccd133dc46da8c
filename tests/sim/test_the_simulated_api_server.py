"""The simulated API server keeps the promises of the real one that the engine leans on."""

from __future__ import annotations

import asyncio

import pytest

from grove_operator.api.kinds import NODE, POD, POD_CLIQUE, SERVICE, Json
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import AlreadyExists, Conflict, Invalid, NotFound
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from grove_operator.sim.nodeagent import SimNodeAgent


def pod(name: str, *, gated: bool = False, owner: str = "", node: str = "") -> Json:
    spec: Json = {"containers": [{"name": "main", "image": "x"}]}
    if gated:
        spec["schedulingGates"] = [{"name": "g"}]
    if node:
        spec["nodeName"] = node
    meta: Json = {"name": name, "namespace": "ns", "labels": {"app": name}}
    if owner:
        meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "PodClique", "name": "c", "uid": owner}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


async def test_a_second_create_of_the_same_name_is_refused() -> None:
    api = SimApi(SimClock())
    await api.create(POD, "ns", pod("a"))
    with pytest.raises(AlreadyExists):
        await api.create(POD, "ns", pod("a"))


async def test_a_patch_with_a_stale_resource_version_is_a_conflict_and_one_that_changes_nothing_is_free() -> None:
    api = SimApi(SimClock())
    first = await api.create(SERVICE, "ns", {"metadata": {"name": "s"}, "spec": {"a": 1}})
    second = await api.patch(SERVICE, "ns", "s", {"spec": {"a": 2}})
    assert second["metadata"]["generation"] == 2
    with pytest.raises(Conflict):
        await api.patch(
            SERVICE,
            "ns",
            "s",
            {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "spec": {"a": 3}},
        )
    again = await api.patch(SERVICE, "ns", "s", {"spec": {"a": 2}})
    assert again["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_status_is_written_only_through_its_subresource_and_does_not_raise_the_generation() -> None:
    api = SimApi(SimClock())
    await api.create(POD_CLIQUE, "ns", {"metadata": {"name": "c"}, "spec": {}, "status": {"replicas": 9}})
    assert "status" not in (await api.get(POD_CLIQUE, "ns", "c"))
    await api.patch(POD_CLIQUE, "ns", "c", {"status": {"replicas": 1}})
    assert "status" not in (await api.get(POD_CLIQUE, "ns", "c"))
    written = await api.patch(
        POD_CLIQUE, "ns", "c", {"status": {"replicas": 1}, "spec": {"x": 1}}, subresource="status"
    )
    assert written["status"] == {"replicas": 1}
    assert written["spec"] == {}
    assert written["metadata"]["generation"] == 1


async def test_deleting_an_owner_collects_what_it_owned_at_every_depth() -> None:
    api = SimApi(SimClock())
    clique = await api.create(POD_CLIQUE, "ns", {"metadata": {"name": "c"}, "spec": {}})
    await api.create(POD, "ns", pod("p", owner=clique["metadata"]["uid"]))
    await api.delete(POD_CLIQUE, "ns", "c")
    assert api.objects(POD) == []
    late = pod("late", owner=clique["metadata"]["uid"])
    await api.create(POD, "ns", late)
    assert api.objects(POD) == []


async def test_a_gated_or_bound_pod_is_never_bound() -> None:
    api = SimApi(SimClock())
    await api.create(POD, "ns", pod("a", gated=True))
    binding: Json = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
    with pytest.raises(Conflict):
        await api.create(POD, "ns", binding, subresource_of="a/binding")
    await api.patch(POD, "ns", "a", {"spec": {"schedulingGates": None}})
    await api.create(POD, "ns", binding, subresource_of="a/binding")
    bound = await api.get(POD, "ns", "a")
    assert bound["spec"]["nodeName"] == "n1"
    assert {c["type"]: c["status"] for c in bound["status"]["conditions"]} == {"PodScheduled": "True"}
    with pytest.raises(Conflict):
        await api.create(POD, "ns", binding, subresource_of="a/binding")


async def test_a_pod_spec_is_immutable_and_gates_only_go() -> None:
    api = SimApi(SimClock())
    await api.create(POD, "ns", pod("a"))
    with pytest.raises(Invalid):
        await api.patch(POD, "ns", "a", {"spec": {"hostname": "h"}})
    with pytest.raises(Invalid):
        await api.patch(POD, "ns", "a", {"spec": {"schedulingGates": [{"name": "g"}]}})


async def test_an_informer_sees_each_change_once_also_across_ended_and_expired_watches() -> None:
    clock = SimClock()
    api = SimApi(clock)
    seen: list[str] = []
    informer = Informer(
        api, clock, POD, lambda old, new: seen.append(f"{old is not None:d}{new is not None:d}"), label_selector="app"
    )
    running = asyncio.create_task(informer.run())
    await clock.settle()
    await api.create(POD, "ns", pod("a"))
    await clock.settle()
    api.end_watches()
    await clock.settle()
    await api.patch(POD, "ns", "a", {"metadata": {"labels": {"x": "y"}}})
    api.compact()
    await clock.settle()
    await api.patch(POD, "ns", "a", {"metadata": {"labels": {"app": None}}})
    await clock.settle()
    assert seen == ["01", "11", "10"]
    running.cancel()


async def test_bound_pods_get_ready_and_deleted_ones_go_in_virtual_time() -> None:
    clock = SimClock()
    api = SimApi(clock)
    agent = asyncio.create_task(SimNodeAgent(api, clock, start_s=3.0).run())
    await clock.settle()
    api.seed({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    assert api.find(NODE, "", "n1") is not None
    await api.create(POD, "ns", pod("a", node="n1"))

    def is_ready() -> bool:
        conditions = (api.find(POD, "ns", "a") or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    assert await clock.run_until(is_ready) == 3.0
    await api.delete(POD, "ns", "a")
    await clock.run_until(lambda: api.find(POD, "ns", "a") is None)
    with pytest.raises(NotFound):
        await api.get(POD, "ns", "a")
    agent.cancel()
