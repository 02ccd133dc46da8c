"""The scheduler's loop against the simulated API server: scenarios 19, 78, 94, 114, 115, 120."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, EVENT, NODE, POD, POD_GANG, Json
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.ports import Conflict, Overloaded
from grove_operator.sim.apiserver import Request, SimApi
from grove_operator.sim.clock import SimClock

HOST = "kubernetes.io/hostname"


def node(name: str, gpus: int, rack: str = "r1") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {HOST: name, "rack": rack}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": str(gpus), "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(name: str, gang: str | None = "web-0", *, gpus: int = 1, on: str | None = None, **spec: Any) -> Json:
    limits = {"nvidia.com/gpu": str(gpus)}
    body: Json = {"schedulerName": "grove-scheduler", "containers": [{"name": "c", "resources": {"limits": limits}}]}
    body |= spec
    if on:
        body["nodeName"] = on
    labels = {"grove.io/podgang": gang} if gang else {}
    meta = {"name": name, "namespace": "ns", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body, "status": {"phase": "Pending"}}


def pod_gang(name: str = "web-0", *, pods: list[str], minimum: int | None = None, required: str = "") -> Json:
    constraint = {"topologyConstraint": {"packConstraint": {"required": required}}} if required else {}
    references = [{"namespace": "ns", "name": p} for p in pods]
    return {
        "apiVersion": POD_GANG.api_version,
        "kind": "PodGang",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {
            "podgroups": [
                {
                    "name": f"{name}-w",
                    "minReplicas": len(pods) if minimum is None else minimum,
                    "podReferences": references,
                }
            ],
            **constraint,
        },
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Initialized", "status": "True", "reason": "PodGangPodsCreated"}],
        },
    }


RACKS: Json = {
    "apiVersion": CLUSTER_TOPOLOGY_BINDING.api_version,
    "kind": "ClusterTopologyBinding",
    "metadata": {"name": "default"},
    "spec": {"levels": [{"domain": "rack", "key": "rack"}]},
}


class World:
    def __init__(self, *objects: Json) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.api.seed(*objects)
        self.scheduler = GangScheduler(self.api.as_user("scheduler"), self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        task = asyncio.create_task(self.scheduler.run())
        try:
            await self.clock.settle()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def restart(self) -> None:
        self.scheduler = GangScheduler(self.api.as_user("scheduler"), self.clock)

    def nodes(self) -> dict[str, str]:
        return {p["metadata"]["name"]: p["spec"].get("nodeName", "") for p in self.api.objects(POD)}

    def gang(self, name: str = "web-0") -> Json:
        found = self.api.find(POD_GANG, "ns", name)
        assert found
        return found

    def condition(self, kind: str = "Scheduled", name: str = "web-0") -> Json:
        return next((c for c in self.gang(name)["status"]["conditions"] if c["type"] == kind), {})

    def writes(self) -> int:
        return sum(self.api.count_writes("scheduler").values())


async def test_a_gang_is_bound_whole_and_its_status_tells() -> None:
    world = World(
        RACKS, node("a", 1), node("b", 2, "r2"), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"], required="rack")
    )
    async with world.running():
        assert world.nodes() == {"p0": "b", "p1": "b"}
        status = world.gang()["status"]
        assert (status["phase"], status["placementScore"]) == ("Starting", 1.0)
        assert world.condition()["status"] == "True"
        assert world.condition("Initialized")["status"] == "True", "another writer's condition is kept"
        assert world.api.count_writes("scheduler") == {
            ("create", "Pod", "binding"): 2,
            ("patch", "PodGang", "status"): 1,
        }
        for name in ("p0", "p1"):
            bound = world.api.find(POD, "ns", name)
            assert bound
            ready = [*bound["status"]["conditions"], {"type": "Ready", "status": "True"}]
            await world.api.patch(POD, "ns", name, {"status": {"conditions": ready}}, subresource="status")
        await world.clock.settle()
        assert world.gang()["status"]["phase"] == "Running"
        before = world.writes()
        world.api.end_watches()
        await world.clock.advance(3600)
        assert world.writes() == before, "zero writes at rest"


async def test_a_refused_gang_stays_whole_and_says_why_once() -> None:
    world = World(
        RACKS, node("a", 1), node("b", 1, "r2"), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"], required="rack")
    )
    async with world.running():
        assert set(world.nodes().values()) == {""}
        message = (
            "podgang web-0 needs 2 pods in one rack: r1 takes 1 of 2, r2 takes 1 of 2; r1 is short of 1 nvidia.com/gpu"
            "; to unblock: lower minAvailable of web-0-w by 1 to 1"
        )
        condition = world.condition()
        assert (condition["status"], condition["reason"], condition["message"]) == ("False", "Unschedulable", message)
        for each in world.api.objects(POD):
            (told,) = each["status"]["conditions"]
            assert (told["type"], told["status"], told["reason"], told["message"]) == (
                "PodScheduled",
                "False",
                "Unschedulable",
                message,
            )
        events = world.api.objects(EVENT)
        assert sorted(e["involvedObject"]["name"] for e in events) == ["p0", "p1", "web-0"]
        assert {(e["type"], e["reason"], e["source"]["component"]) for e in events} == {
            ("Warning", "Unschedulable", "grove-scheduler")
        }
        before = world.writes()
        await world.api.create(NODE, None, node("c", 1, "r3"))  # changes nothing for the gang
        await world.clock.advance(3600)
        assert world.writes() == before


async def test_freed_capacity_wakes_the_gang_that_waits() -> None:
    other = pod("other", None, on="a", schedulerName="default-scheduler")
    world = World(node("a", 2), other, pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"]))
    async with world.running():
        assert world.nodes()["p0"] == ""
        await world.api.delete(POD, "ns", "other", grace_s=0)
        await world.clock.settle()
        assert world.nodes() == {"p0": "a", "p1": "a"}
        assert world.condition()["status"] == "True"


async def test_an_ended_pod_holds_nothing() -> None:
    done = pod("done", None, on="a", schedulerName="default-scheduler")
    done["status"]["phase"] = "Succeeded"
    world = World(node("a", 1), done, pod("p0"), pod_gang(pods=["p0"]))
    async with world.running():
        assert world.nodes()["p0"] == "a"


async def test_a_gang_that_is_not_initialized_or_still_gated_is_left_alone() -> None:
    early = pod_gang(pods=["p0"])
    early["status"]["conditions"][0]["status"] = "False"
    gated = pod("q0", "web-1", schedulingGates=[{"name": "grove.io/podgang-pending-creation"}])
    world = World(node("a", 9), pod("p0"), early, gated, pod_gang("web-1", pods=["q0"]))
    async with world.running():
        assert set(world.nodes().values()) == {""}
        assert world.writes() == 0
        await world.api.patch(POD, "ns", "q0", {"spec": {"schedulingGates": None}})
        await world.clock.settle()
        assert world.nodes()["q0"] == "a"


async def test_a_restart_in_the_middle_of_binding_completes_the_gang_where_it_began() -> None:
    objects = [pod("p0", on="b"), pod("p1"), pod("p2"), pod_gang(pods=["p0", "p1", "p2"], required="rack")]
    world = World(RACKS, node("a", 3), node("b", 2, "r2"), node("c", 2, "r2"), *objects)
    async with world.running():
        assert {world.nodes()[p] for p in ("p1", "p2")} <= {"b", "c"}


async def test_an_overloaded_server_is_asked_again_and_no_pod_is_bound_twice() -> None:
    world = World(node("a", 4), *(pod(f"p{i}") for i in range(4)), pod_gang(pods=[f"p{i}" for i in range(4)]))
    refused: list[str] = []

    def refuse_first(request: Request) -> None:
        if request.subresource == "binding" and request.name not in refused:
            refused.append(request.name)
            raise Overloaded("too many requests", retry_after_s=1.0)

    world.api.before_request(refuse_first)
    async with world.running():
        assert set(world.nodes().values()) == {""}
        await world.clock.advance(2)
        assert set(world.nodes().values()) == {"a"}
        assert world.api.count_writes("scheduler")["create", "Pod", "binding"] == 8
        assert world.condition()["status"] == "True"


async def test_a_binding_that_is_refused_for_good_is_decided_again_beside_the_bound() -> None:
    world = World(
        RACKS,
        node("a", 1),
        node("b", 1),
        node("c", 1),
        node("z", 2, "r0"),
        pod("p0"),
        pod("p1"),
        pod_gang(pods=["p0", "p1"], required="rack"),
    )
    tries: list[str] = []

    def refuse_once(request: Request) -> None:
        if request.subresource == "binding" and request.name == "p1":
            tries.append(request.name)
            if len(tries) == 1:
                raise Conflict("something else changed the pod")

    world.api.before_request(refuse_once)
    async with world.running():
        assert world.nodes()["p0"] == "z"
        assert world.nodes()["p1"] == ""
        await world.clock.advance(1)
        assert world.nodes() == {"p0": "z", "p1": "z"}


async def test_a_gang_that_cannot_be_completed_is_rolled_back_after_the_grace_period() -> None:
    world = World(
        RACKS, node("a", 2), pod("p0", on="a"), pod("p1", gpus=4), pod_gang(pods=["p0", "p1"], required="rack")
    )
    async with world.running():
        await world.clock.advance(59)
        assert world.nodes() == {"p0": "a", "p1": ""}
        await world.clock.advance(2)
        deleted = world.api.find(POD, "ns", "p0")
        assert deleted is None or deleted["metadata"]["deletionTimestamp"]
        assert any(e["reason"] == "RolledBack" for e in world.api.objects(EVENT))


async def test_a_running_gang_that_lost_a_member_is_never_rolled_back() -> None:
    whole = pod_gang(pods=["p0", "p1"], required="rack")
    whole["status"]["conditions"].append({"type": "Scheduled", "status": "True", "reason": "Scheduled"})
    world = World(RACKS, node("a", 1), node("b", 9, "r2"), pod("p0", on="a"), pod("p1"), whole)
    async with world.running():
        assert world.condition()["reason"] == "MemberUnschedulable"
        await world.clock.advance(600)
        assert world.nodes() == {"p0": "a", "p1": ""}


async def test_a_pod_without_a_gang_is_scheduled_alone() -> None:
    world = World(node("a", 1), pod("lonely", None), pod("huge", None, gpus=8))
    async with world.running():
        assert world.nodes() == {"huge": "", "lonely": "a"}
        huge = world.api.find(POD, "ns", "huge")
        assert huge
        assert huge["status"]["conditions"][0]["reason"] == "Unschedulable"


async def test_a_pod_with_a_claim_is_refused_by_name_and_never_bound() -> None:
    world = World(node("a", 4), pod("p0", resourceClaims=[{"name": "x"}]), pod_gang(pods=["p0"]))
    async with world.running():
        assert world.nodes()["p0"] == ""
        assert "uses resourceClaims" in world.condition()["message"]


async def test_capacity_is_assumed_until_the_watch_shows_the_binding() -> None:
    world = World(node("a", 2), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"]))
    world.api.delay_watches(5.0)
    async with world.running():
        await world.api.create(POD, "ns", pod("late", None, gpus=2))
        await world.clock.advance(60)
        assert world.nodes() == {"late": "", "p0": "a", "p1": "a"}
        assert world.api.count_writes("scheduler")["create", "Pod", "binding"] == 2


async def test_a_deleted_gang_gives_its_room_back() -> None:
    world = World(node("a", 1), pod("p0"), pod_gang(pods=["p0"]))
    async with world.running():
        await world.api.delete(POD_GANG, "ns", "web-0")
        await world.api.delete(POD, "ns", "p0", grace_s=0)
        await world.api.create(POD, "ns", pod("q0", "web-1"))
        await world.api.create(POD_GANG, "ns", pod_gang("web-1", pods=["q0"]))
        late = world.gang("web-1")
        assert not late.get("status")
        ready = {"status": pod_gang(pods=[])["status"]}
        await world.api.patch(POD_GANG, "ns", "web-1", ready, subresource="status")
        await world.clock.settle()
        assert world.nodes() == {"q0": "a"}
