"""What holds for every what-if: inputs stay, ways out are real and least, expansions are the operator's own."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grove_operator.api.kinds import ALL_KINDS, EVENT, POD, POD_GANG, Json, key_of
from grove_operator.engine.recording import Recording, replay
from grove_operator.engine.whatif.expansion import expand
from grove_operator.engine.whatif.inputs import gather
from grove_operator.engine.whatif.simulation import simulate
from grove_operator.scheduler.explain import Holding
from grove_operator.scheduler.model import GPU, Gang, Needs, Snapshot
from grove_operator.scheduler.solve import schedule
from grove_operator.scheduler.ways_out import explain
from tests.golden.story import STORIES
from tests.sim.world import load, world
from tests.unit.scheduler.notation import cluster, gang
from tests.unit.whatif.manifests import GATE, RACKS, clique_set, node, pod
from tests.unit.whatif.manifests import gang as pod_gang

QUICK = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def manifests(draw: st.DrawFn) -> list[Json]:
    """A small cluster, running and waiting pods, gangs of them, and a set to expand."""
    nodes = [node(f"n{i}", draw(st.integers(0, 4)), f"r{i % 2}") for i in range(draw(st.integers(0, 4)))]
    pods = []
    for i in range(draw(st.integers(0, 5))):
        on = draw(st.sampled_from(["", *(n["metadata"]["name"] for n in nodes)]))
        gates = draw(st.sampled_from([(), (GATE,), ("other.example/gate",)]))
        going = draw(st.booleans())
        meta = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else None
        pods.append(pod(f"p{i}", draw(st.integers(0, 2)), on=on, gates=() if on else gates, meta=meta))
    names = [p["metadata"]["name"] for p in pods]
    half = draw(st.integers(0, len(names)))
    gangs = [
        pod_gang(
            name, *members, minimum=draw(st.integers(0, len(members))), required=draw(st.sampled_from(["", "rack"]))
        )
        for name, members in (("g", names[:half]), ("h", [*names[half:], "ghost"]))
    ]
    web = clique_set("web", draw(st.integers(1, 3)), required=draw(st.sampled_from(["", "rack", "host"])))
    return [RACKS, *nodes, *pods, *gangs, web]


@QUICK
@given(manifests())
def test_every_gang_stands_in_one_list_and_the_input_stays_as_it_was(objects: list[Json]) -> None:
    before = copy.deepcopy(objects)
    split = len(objects) // 2
    done = simulate(objects[split:], objects[:split])
    assert objects == before
    placed, unplaced = (
        [(e["namespace"], e["gang"]) for e in done.to_json()[part]] for part in ("placements", "unplaced")
    )
    assert len({*placed, *unplaced}) == len(placed) + len(unplaced)
    assert ("ns", "web-0") in (*placed, *unplaced)
    for entry in done.to_json()["unplaced"]:
        assert entry["reasons"], f"{entry['gang']} is unplaced without a reason"
        assert all(reason["scope"] and reason["message"] for reason in entry["reasons"])
    json.dumps(done.to_json())


@QUICK
@given(manifests())
def test_placed_gangs_have_their_minima_and_no_node_takes_more_than_it_has(objects: list[Json]) -> None:
    done = simulate(objects)
    free = {o["metadata"]["name"]: int(o["status"]["allocatable"][GPU]) for o in objects if o["kind"] == "Node"}
    asked = {o["metadata"]["name"]: int(_gpus(o)) for o in objects if o["kind"] == POD.kind}
    for obj in objects:
        if obj["kind"] == POD.kind and (on := obj["spec"].get("nodeName")):
            free[on] -= asked[obj["metadata"]["name"]]
    overfull = {name for name, left in free.items() if left < 0}
    for verdict in done.verdicts:
        for one in verdict.pods:
            if one.is_new and one.node:
                free[one.node] -= asked.get(one.name, 1)
    assert {name for name, left in free.items() if left < 0} <= overfull
    for obj in objects:
        for verdict in done.verdicts:
            if obj["kind"] == POD_GANG.kind and verdict.gang == obj["metadata"]["name"] and verdict.is_placed:
                least = obj["spec"]["podgroups"][0]["minReplicas"]
                assert sum(one.node is not None for one in verdict.pods) >= least


def _gpus(obj: Json) -> str:
    return str(obj["spec"]["containers"][0]["resources"]["limits"][GPU])


@st.composite
def refused(draw: st.DrawFn) -> tuple[Snapshot, Gang, tuple[Holding, ...]]:
    """Nodes in two racks with known holders, and a gang that may or may not fit."""
    text, held = [], []
    for i in range(draw(st.integers(1, 4))):
        used = draw(st.lists(st.integers(1, 2), max_size=3))
        text.append(f"n{i}:{draw(st.integers(0, 2))}/{sum(used) + 2}[r{i % 2}]")
        taken = sum(used) + 2 - int(text[-1].split(":")[1].split("/")[0])
        for j, amount in enumerate([*used, taken - sum(used)]):
            if amount > 0:
                owner = draw(st.sampled_from([None, "other/x", "other/y"]))
                held.append(Holding("other", f"{i}-{j}", f"n{i}", Needs(((GPU, amount),)), gang=owner))
    asked = gang(
        f"A:{draw(st.integers(1, 4))}x{draw(st.integers(1, 3))}", root=draw(st.sampled_from(["", "R=rack", "R=host"]))
    )
    return cluster("rack", " ".join(text)), asked, tuple(held)


@QUICK
@given(refused())
def test_every_way_out_unblocks_and_nothing_less_of_its_kind_does(
    case: tuple[Snapshot, Gang, tuple[Holding, ...]],
) -> None:
    snapshot, asked, held = case
    said = explain(snapshot, [asked], asked.key, held)
    assert (said.refusal is None) == _is_placed(snapshot, asked)
    for way in said.ways_out:
        if way.action == "evict":
            units = {f"{kind} {key}" for kind, key in (h.unit for h in held)}
            assert set(way.targets) <= units
            assert _is_placed(_without(snapshot, held, set(way.targets)), asked)
            for kept in way.targets:
                assert not _is_placed(_without(snapshot, held, {*way.targets} - {kept}), asked)
        elif way.action == "lower":
            (group,) = asked.podgroups
            for k, is_placed in ((way.amount, True), (way.amount - 1, False)):
                fewer = replace(asked, podgroups=(replace(group, minimum=group.minimum - k),))
                assert _is_placed(snapshot, fewer) is is_placed
        elif way.action == "free":
            assert 0 < way.amount <= sum(dict(n.used)[GPU] for n in snapshot.nodes if n.name in way.targets)


def _is_placed(snapshot: Snapshot, asked: Gang) -> bool:
    return not any(not r.pods for r in schedule(snapshot, [asked]).refusals)


def _without(snapshot: Snapshot, held: tuple[Holding, ...], gone: set[str]) -> Snapshot:
    freed = {
        n.name: sum(h.amount(GPU) for h in held if h.node == n.name and " ".join(h.unit) in gone)
        for n in snapshot.nodes
    }
    nodes = tuple(
        replace(n, used=tuple((k, v - freed[n.name] if k == GPU else v) for k, v in n.used)) for n in snapshot.nodes
    )
    return replace(snapshot, nodes=nodes)


@QUICK
@given(refused())
def test_a_recording_reads_back_as_it_was_and_replays_byte_for_byte(
    case: tuple[Snapshot, Gang, tuple[Holding, ...]],
) -> None:
    snapshot, asked, _ = case
    recording = Recording(snapshot, (asked,), schedule(snapshot, [asked]))
    back = Recording.from_text(recording.to_text())
    assert back == recording
    assert back.to_text() == recording.to_text()
    assert replay(back) == ""


@pytest.mark.parametrize("story", STORIES)
async def test_an_expansion_is_what_the_operator_makes_of_the_same_manifest(story: str) -> None:
    """Specs and labels of gangs and pods, by their readable names; only what a running cluster adds is left aside."""
    async with world() as w:
        await w.apply(load(f"{story}.yaml"))
        await w.rest()
        live = [o for kind in ALL_KINDS if kind is not EVENT for o in w.api.objects(kind)]
    names = {o["metadata"]["name"]: o["spec"]["hostname"] for o in live if o["kind"] == POD.kind}
    expanded = expand(gather([load(f"{story}.yaml")]))
    assert _shown([*expanded.objects.values()], {}) == _shown(live, names)


def _shown(objects: list[Json], names: dict[str, str]) -> dict[str, Json]:
    shown = {}
    for obj in objects:
        if obj["kind"] not in (POD.kind, POD_GANG.kind):
            continue
        obj = copy.deepcopy(obj)
        for name in ("nodeName", "schedulingGates"):
            obj["spec"].pop(name, None)
        for group in obj["spec"].get("podgroups", ()):
            for reference in group["podReferences"]:
                reference["name"] = names.get(reference["name"], reference["name"])
            group["podReferences"].sort(key=lambda r: str(r["name"]))
        obj["metadata"]["name"] = names.get(obj["metadata"]["name"], obj["metadata"]["name"])
        shown[str(key_of(obj))] = {"labels": obj["metadata"]["labels"], "spec": obj["spec"]}
    return shown
