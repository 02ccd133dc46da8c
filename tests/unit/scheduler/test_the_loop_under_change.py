"""The scheduler's loop while things change: scenarios 114, 117, 118, 123, and names, health, conditions, pace."""

from __future__ import annotations

import asyncio
from typing import Any

from grove_operator.api.kinds import EVENT, NODE, POD, POD_GANG, Json
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.binding import LEAST_IN_FLIGHT, LEAST_WHEN_SLOW, Window
from grove_operator.engine.ports import Conflict, Overloaded
from grove_operator.scheduler.model import Decision, Policy, Snapshot
from grove_operator.scheduler.solve import Solver
from grove_operator.sim.apiserver import Request
from grove_operator.sim.nodeagent import SimNodeAgent
from tests.scenarios.objects import objects, outcome
from tests.scenarios.outcome import check
from tests.scenarios.reading import scenarios
from tests.unit.scheduler.test_gang_scheduler import RACKS, World, node, pod, pod_gang


def whole(name: str = "web-0", **options: Any) -> Json:
    """A gang that stood whole before."""
    gang = pod_gang(name, **options)
    gang["status"]["conditions"].append({"type": "Scheduled", "status": "True", "reason": "Scheduled"})
    return gang


async def test_a_node_that_goes_between_decision_and_binding_is_not_bound_to() -> None:  # 117
    world = World(node("a", 2), node("b", 3, "r2"), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"]))
    is_busy = True

    def hold_all(request: Request) -> None:
        if request.subresource == "binding" and is_busy:
            raise Overloaded("too many requests", retry_after_s=2.0)

    world.api.before_request(hold_all)
    async with world.running():
        assert world.scheduler.feed.usage.assumed
        await world.api.delete(NODE, None, "a")
        is_busy = False
        await world.clock.advance(10)
        assert world.nodes() == {"p0": "b", "p1": "b"}
        assert world.scheduler.metrics["bind_failures"] == 2, "the decision for a was dropped, and taken anew"


async def test_a_relabelled_rack_leaves_its_pods_running_and_new_ones_follow_the_new_tree() -> None:  # 117
    world = World(
        RACKS, node("a", 2), node("b", 1), node("c", 1, "r2"), pod("p0", on="a"), whole(pods=["p0"], required="rack")
    )
    async with world.running():
        moved = {"metadata": {"labels": {"rack": "r2"}}}
        await world.api.patch(NODE, None, "a", moved)
        await world.clock.settle()
        assert world.nodes() == {"p0": "a"}
        for name in ("p1", "p2"):
            await world.api.create(POD, "ns", pod(name))
        references = pod_gang(pods=["p0", "p1", "p2"], required="rack")["spec"]
        await world.api.patch(POD_GANG, "ns", "web-0", {"spec": references})
        await world.clock.settle()
        assert sorted((world.nodes()["p1"], world.nodes()["p2"])) == ["a", "c"], "r2 is where p0 is now; b is in r1"


async def test_cordoned_tainted_and_not_ready_nodes_keep_their_pods_and_get_no_more() -> None:
    for change in (
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "maintenance", "effect": "NoSchedule"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    ):
        world = World(node("a", 2), pod("p0", on="a"), pod("p1"), whole(pods=["p0", "p1"], required=""))
        world.api.seed(node("b", 0, "r2"))
        subresource = "status" if "status" in change else None
        await world.api.patch(NODE, None, "a", change, subresource=subresource)
        async with world.running():
            assert world.nodes() == {"p0": "a", "p1": ""}, change
            await world.api.create(NODE, None, node("c", 1, "r2"))
            await world.clock.settle()
            assert world.nodes()["p1"] == "c", change


async def test_ten_thousand_gated_pods_cost_no_decision() -> None:  # 118
    gate = [{"name": "grove.io/podgang-pending-creation"}]
    gated = [pod(f"g{i}", f"late-{i // 100}", schedulingGates=gate) for i in range(2000)]
    late = [pod_gang(f"late-{g}", pods=[f"g{100 * g + i}" for i in range(100)]) for g in range(20)]
    world = World(node("a", 4), *gated, *late, pod("p0"), pod_gang(pods=["p0"]))
    async with world.running():
        assert world.nodes()["p0"] == "a"
        assert world.scheduler.metrics["decisions"] == 1


async def test_a_refused_gang_is_not_tried_again_by_what_cannot_help_it() -> None:
    world = World(RACKS, node("a", 1), pod("p0", gpus=4, nodeSelector={"rack": "r1"}), pod_gang(pods=["p0"]))
    async with world.running():
        tried = world.scheduler.metrics["decisions"]
        await world.api.create(POD, "ns", pod("busy", None, on="a", schedulerName="default-scheduler"))
        await world.clock.advance(120)
        assert world.scheduler.metrics["decisions"] == tried, "capacity got less"
        await world.api.delete(POD, "ns", "busy", grace_s=0)
        await world.clock.settle()
        assert world.scheduler.metrics["decisions"] == tried + 1, "capacity came back on a node that it may use"


async def test_a_large_gang_is_not_starved_by_a_stream_of_small_ones() -> None:  # 123
    world = World(node("a", 4), pod("s0", None, on="a", schedulerName="default-scheduler"), pod("big", gpus=4))
    world.api.seed(pod_gang(pods=["big"]))
    async with world.running():
        for i in range(1, 9):  # one comes whenever one goes, each keeps the node from being empty
            await world.api.create(POD, "ns", pod(f"s{i}", None))
            await world.clock.advance(100)
            await world.api.delete(POD, "ns", f"s{i - 1}", grace_s=0)
            await world.clock.settle()
        assert world.nodes()["big"] == "a"
        assert [n for n, on in world.nodes().items() if n != "big" and on] == []
        await world.clock.advance(10)


async def test_scaled_gangs_follow_when_their_base_is_placed_at_last() -> None:
    scaled = pod("s0", "web-0-x-1")
    scaled["metadata"]["labels"]["grove.io/base-podgang"] = "web-0"
    world = World(node("a", 1), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"]))
    world.api.seed(scaled, pod_gang("web-0-x-1", pods=["s0"]))
    async with world.running():
        assert set(world.nodes().values()) == {""}, "the scaled gang would fit, but its base comes first"
        await world.api.create(NODE, None, node("b", 2))
        await world.clock.settle()
        assert sorted(world.nodes().values()) == ["a", "b", "b"]


async def test_a_resource_that_only_a_strangers_pod_asks_for_disturbs_nobody() -> None:
    world = World(node("a", 2), pod("p0"), pod_gang(pods=["p0"]))
    async with world.running():
        limits = {"example.com/odd": "3"}
        container = {"name": "c", "resources": {"limits": limits}}
        odd = pod("odd", None, on="a", schedulerName="default-scheduler", containers=[container])
        await world.api.create(POD, "ns", odd)
        await world.api.create(POD, "ns", pod("later", None))
        await world.clock.settle()
        assert world.nodes()["later"] == "a"


async def test_many_gangs_at_once_are_told_of_once_each_and_few_at_once_without_delay() -> None:
    names = [f"g{i}" for i in range(80)]
    pods = [pod(f"{name}-0", name) for name in names]
    world = World(node("a", 80), *pods, *(pod_gang(name, pods=[f"{name}-0"]) for name in names))
    agent = asyncio.create_task(SimNodeAgent(world.api.as_user("nodes"), world.clock, start_s=1.0).run())
    async with world.running():
        await world.clock.advance(0.5)
        told = world.api.count_writes("scheduler")["patch", "PodGang", "status"]
        assert 0 < told < 40, "the first are told of at once, most wait"
        await world.clock.advance(10)
        phases = {world.gang(name)["status"]["phase"] for name in names}
        assert phases == {"Running"}
        assert all(world.condition(name=name)["status"] == "True" for name in names)
        assert world.api.count_writes("scheduler")["patch", "PodGang", "status"] <= len(names) + told
    agent.cancel()
    await asyncio.gather(agent, return_exceptions=True)


async def test_a_gang_that_does_not_get_ready_is_told_of_all_the_same() -> None:
    names = [f"g{i}" for i in range(80)]
    pods = [pod(f"{name}-0", name) for name in names]
    world = World(node("a", 80), *pods, *(pod_gang(name, pods=[f"{name}-0"]) for name in names))
    async with world.running():
        await world.clock.advance(5)
        assert {world.gang(name)["status"]["phase"] for name in names} == {"Starting"}


async def test_a_gang_that_was_held_is_told_of_though_bindings_wait_again_by_then() -> None:
    world = World(node("a", 8), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"]))
    answers = iter([True, False])
    world.scheduler.teller.is_binding = lambda: next(answers, True)
    async with world.running():
        assert world.condition().get("status") != "True"
        await world.clock.advance(30)
        assert world.condition().get("status") == "True"


class FailsOn(Solver):
    """A solver with a fault that one gang brings to light."""

    def _place_minima(self, gang: Any) -> bool:
        if gang.name == "poison":
            raise ZeroDivisionError("a fault")
        return super()._place_minima(gang)


async def test_a_fault_in_the_solver_refuses_its_gang_and_no_other() -> None:
    world = World(node("a", 3), *(pod(f"p{i}", "web-0") for i in range(2)), pod_gang(pods=["p0", "p1"]))
    world.api.seed(pod("q0", "poison"), pod_gang("poison", pods=["q0"]), pod("r0", "z"), pod_gang("z", pods=["r0"]))
    world.scheduler.feed.solver = FailsOn(Snapshot(()))
    async with world.running():
        assert world.nodes() == {"p0": "a", "p1": "a", "q0": "", "r0": "a"}
        assert "ZeroDivisionError: a fault" in world.condition(name="poison")["message"]


async def test_what_was_kept_for_a_large_gang_is_given_back_after_a_while() -> None:
    stays = pod("stays", None, on="a", schedulerName="default-scheduler")
    world = World(node("a", 4), stays, pod("big", gpus=4), pod_gang(pods=["big"]))
    async with world.running():
        await world.clock.advance(400)
        await world.api.create(POD, "ns", pod("small", None))
        await world.clock.settle()
        assert world.nodes()["small"] == "", "its room is kept"
        await world.clock.advance(900)
        assert world.nodes()["small"] == "a"


async def test_pods_that_ask_for_another_name_are_placed_and_told_under_that_name() -> None:
    foreign = [pod(f"k{i}", "kai-0", schedulerName="kai-scheduler") for i in range(2)]
    ours = [pod("p0", gpus=9)]
    world = World(node("a", 1), *foreign, *ours, pod_gang("kai-0", pods=["k0", "k1"]), pod_gang(pods=["p0"]))
    world.scheduler = GangScheduler(
        world.api.as_user("scheduler"), world.clock, scheduler_names=("grove-scheduler", "kai-scheduler")
    )
    async with world.running():
        sources = {e["involvedObject"]["name"]: e["source"]["component"] for e in world.api.objects(EVENT)}
        assert {sources[f"k{i}"] for i in range(2)} == {"kai-scheduler"}
        assert sources["p0"] == "grove-scheduler"
        await world.api.create(NODE, None, node("b", 1, "r2"))
        await world.clock.settle()
        assert {world.nodes()[f"k{i}"] for i in range(2)} == {"a", "b"}


async def test_pods_of_a_name_that_is_not_ours_are_left_alone() -> None:
    world = World(node("a", 1), pod("k0", "kai-0", schedulerName="kai-scheduler"), pod_gang("kai-0", pods=["k0"]))
    async with world.running():
        assert world.nodes() == {"k0": ""}
        assert world.writes() == 0


async def test_a_gang_that_lost_a_member_is_unhealthy_until_it_is_whole_again() -> None:
    world = World(node("a", 2), pod("p0"), pod("p1"), pod_gang(pods=["p0", "p1"]))
    async with world.running():
        assert world.condition("Unhealthy") == {}
        await world.api.delete(POD, "ns", "p1", grace_s=0)
        await world.clock.settle()
        told = world.condition("Unhealthy")
        assert (told["status"], told["reason"]) == ("True", "MembersMissing")
        assert "web-0-w (1 of 2)" in told["message"]
        await world.api.create(POD, "ns", pod("p1"))
        await world.clock.settle()
        assert world.nodes() == {"p0": "a", "p1": "a"}
        assert world.condition("Unhealthy")["status"] == "False"


async def test_autoscalers_see_all_minima_of_a_refused_gang_or_none() -> None:
    late = pod("p2", schedulingGates=[{"name": "example.com/wait"}])
    world = World(node("a", 1), pod("p0"), pod("p1"), late, pod_gang(pods=["p0", "p1", "p2"]))

    def told() -> int:
        return sum(bool(p["status"].get("conditions")) for p in world.api.objects(POD))

    async with world.running():
        assert told() == 0, "one minimum is still gated: nobody is told"
        await world.api.patch(POD, "ns", "p2", {"spec": {"schedulingGates": None}})
        await world.clock.settle()
        assert told() == 3


async def test_an_answer_that_was_lost_is_looked_up_before_the_room_is_given_away() -> None:
    world = World(node("a", 1), pod("p0"), pod_gang(pods=["p0"]))
    world.api.delay_watches(30.0)
    tries: list[str] = []

    def lose_the_answer(request: Request) -> None:
        if request.subresource == "binding":
            tries.append(request.name)
            if len(tries) == 1:  # it took effect, but nobody hears of it
                stored = world.api._world.objects["Pod"]["ns", "p0"]
                stored["spec"]["nodeName"] = "a"
                raise Overloaded("connection reset")
            raise Conflict("pod p0 is already assigned to node a")

    world.api.before_request(lose_the_answer)
    async with world.running():
        await world.clock.advance(5)
        assert len(tries) == 2
        assert world.scheduler.metrics["bind_failures"] == 0
        assert world.scheduler.feed.usage.assumed, "its room is still taken"


async def test_a_gang_left_undecided_is_searched_longer_when_nothing_else_is_to_do() -> None:
    asked: list[int] = []

    async def aside(work: Any) -> Decision:
        asked.append(1)
        found: Decision = work()
        return found

    scenario = next(s for s in scenarios() if s.data["scenario"] == 54)
    world = World(*objects(scenario))
    small = Policy(attempts=3, exact_columns=4)
    world.scheduler = GangScheduler(world.api.as_user("scheduler"), world.clock, policy=small, aside=aside)
    async with world.running():
        assert world.scheduler.metrics["longer_searches"] == 1, (
            "a search of three attempts ends without a place or a proof"
        )
        assert len(asked) == 2, "the first decision may be long as well"
        check(scenario, outcome(scenario, world.api.objects(POD), world.api.objects(POD_GANG)))
        assert world.condition(name="g")["status"] == "True"


async def test_the_loop_goes_on_while_a_long_decision_is_taken_elsewhere() -> None:
    """A gang that lost a pod when the decision comes isn't bound in part: its room is given to who comes next."""
    world = World(RACKS, node("a", 2), pod("p0"), pod("p1"), _wishing(pod_gang(pods=["p0", "p1"])))
    may_end = asyncio.Event()

    async def aside(work: Any) -> Decision:
        found: Decision = work()
        await may_end.wait()
        return found

    world.scheduler = GangScheduler(world.api.as_user("scheduler"), world.clock, aside=aside)
    async with world.running():
        assert world.nodes() == {"p0": "", "p1": ""}
        await world.api.delete(POD, "ns", "p0")
        await world.api.create(POD, "ns", pod("alone", gang=None, gpus=2))
        await world.clock.settle()
        assert world.scheduler.pods.get("ns", "alone"), "events are heard meanwhile"
        may_end.set()
        await world.clock.settle()
        assert world.nodes() == {"p1": "", "alone": "a"}


def _wishing(gang: Json) -> Json:
    gang["spec"]["topologyConstraint"] = {"packConstraint": {"preferred": "rack"}}
    return gang


def test_the_window_grows_with_good_answers_and_halves_on_refusals_once_per_round() -> None:
    window = Window(64)
    began = window.size
    for _ in range(1000):
        window.answered(0.002, is_refused=False)
    assert began < window.size <= 64
    high = window.size
    for _ in range(5):
        window.answered(0.002, is_refused=True)
    assert window.size == high / 2, "five refusals of one round are one piece of news"
    for _ in range(200):
        window.answered(0.002, is_refused=True)
    assert window.size >= LEAST_IN_FLIGHT
    slow = Window(64)
    slow.answered(0.002, is_refused=False)
    before = slow.size
    slow.answered(1.0, is_refused=False)
    assert slow.size < before, "slow answers count as trouble too"
    for _ in range(500):
        slow.answered(1.0, is_refused=False)
    assert slow.size == LEAST_WHEN_SLOW, "a server that is slow for all is not left to the others"
    for _ in range(500):
        slow.answered(1.0, is_refused=True)
    assert slow.size == LEAST_IN_FLIGHT
