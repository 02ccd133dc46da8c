"""Stories with the operator and the production scheduler: every decision replays, and a simulation foretold it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import BY_KIND, POD, POD_GANG, Json
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.operator import Operator
from grove_operator.engine.recording import Recording, replay
from grove_operator.engine.whatif.dump import dump_cluster
from grove_operator.engine.whatif.explanation import explain_gang
from grove_operator.engine.whatif.simulation import simulate
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from grove_operator.sim.nodeagent import SimNodeAgent
from tests.sim.world import load
from tests.unit.whatif.manifests import RACKS, clique_set, node, pod

READY = [{"type": "Ready", "status": "True"}]


def ready_node(name: str, gpus: int, rack: str) -> Json:
    made = node(name, gpus, rack)
    made["metadata"]["labels"]["kubernetes.io/hostname"] = name
    made["status"] |= {"conditions": READY, "allocatable": {**made["status"]["allocatable"], "pods": "110"}}
    return made


class Story:
    """`decisions` grows with every decision that the scheduler takes."""

    def __init__(self, *objects: Json) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.api.seed(*objects)
        self.decisions: list[Recording] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Story]:
        scheduler = GangScheduler(self.api.as_user("scheduler"), self.clock, recorder=self.decisions.append)
        parts = (
            scheduler,
            Operator(self.api.as_user("operator"), self.clock),
            SimNodeAgent(self.api.as_user("nodes"), self.clock),
        )
        tasks = [asyncio.create_task(part.run()) for part in parts]
        try:
            await self.clock.settle()
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def apply(self, obj: Json) -> None:
        stored = default_podcliqueset(obj, with_schema_defaults=True) if obj["kind"] == "PodCliqueSet" else obj
        await self.api.create(BY_KIND[obj["kind"]], obj["metadata"]["namespace"], stored)
        await self.clock.advance(30)

    async def dump(self) -> list[Json]:
        items: list[Json] = (await dump_cluster(self.api))["items"]
        return items

    def places(self) -> dict[str, str | None]:
        """Node by readable pod name."""
        return {
            p["spec"].get("hostname", p["metadata"]["name"]): p["spec"].get("nodeName") for p in self.api.objects(POD)
        }


def foretold(dump: list[Json], *files: Json) -> dict[str, str | None]:
    done = simulate(files, dump)
    return {p.name: p.node if v.is_placed else None for v in done.verdicts for p in v.pods}


CLUSTER = (
    RACKS,
    ready_node("a", 4, "r1"),
    ready_node("b", 4, "r1"),
    ready_node("c", 2, "r2"),
    ready_node("d", 4, "r2"),
)


async def test_every_recorded_decision_of_a_story_replays_byte_for_byte() -> None:
    story = Story(*CLUSTER)
    async with story.running():
        await story.apply(load("quickstart.yaml"))
        await story.apply(clique_set("wide", 5, required="rack"))
        await story.apply(clique_set("more", 8, minAvailable=2))
        await story.api.delete(POD, "ns", next(p["metadata"]["name"] for p in story.api.objects(POD, "ns")))
        await story.clock.advance(30)
    assert len(story.decisions) >= 4
    assert any(r.decision.refusals for r in story.decisions)
    for recording in story.decisions:
        assert replay(recording) == ""
        assert replay(Recording.from_text(recording.to_text())) == ""


async def test_a_simulation_on_a_snapshot_foretells_what_the_scheduler_then_does() -> None:
    story = Story(*CLUSTER, pod("old", 3, on="a"))
    async with story.running():
        for workload in (
            clique_set("one", 3, required="rack"),
            clique_set("two", 4),
            clique_set("elastic", 9, minAvailable=1),
        ):
            expected = foretold(await story.dump(), workload)
            await story.apply(workload)
            found = {name: place for name, place in story.places().items() if name in expected}
            assert found == expected


async def test_explain_on_the_live_cluster_says_what_the_scheduler_wrote_and_its_way_out_works() -> None:
    story = Story(*CLUSTER, pod("old", 3, on="a"), pod("older", 3, on="d"))
    async with story.running():
        await story.apply(clique_set("wide", 6, required="rack"))
        said = explain_gang((), await story.dump(), "ns", "wide-0")
        (scheduled,) = [c for c in story.api.objects(POD_GANG)[0]["status"]["conditions"] if c["type"] == "Scheduled"]
        assert said.sentence == scheduled["message"], "condition, event and command say the same"
        (way,) = [w for w in said.explanation.ways_out if w.action == "evict"]
        assert way.targets == ("pod ns/old",)
        await story.api.delete(POD, "ns", "old", grace_s=0)
        await story.clock.advance(30)
        assert {node for name, node in story.places().items() if name.startswith("wide")} == {"a", "b"}
