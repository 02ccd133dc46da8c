"""Parts in proportion: the other side is raised, never lowered, and only the live objects are scaled."""

from __future__ import annotations

from grove_operator.api.constants import ANNOTATION_REPLICA_RATIO
from grove_operator.api.kinds import POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world


def story(ratio: str, **prefill: Json) -> Json:
    cliques = [clique("prefill", 1, 1, **prefill), clique("d", 1)]
    pcs = podcliqueset(cliques, [group("decode", ["d"], 2)], replicas=2)
    pcs["metadata"]["annotations"] = {ANNOTATION_REPLICA_RATIO: ratio}
    return pcs


def sizes(w: World, i: int = 0) -> tuple[int, int]:
    prefill = w.api.find(POD_CLIQUE, "ml", f"web-{i}-prefill") or {}
    decode = w.api.find(SCALING_GROUP, "ml", f"web-{i}-decode") or {}
    return prefill["spec"]["replicas"], decode["spec"]["replicas"]


async def scale(w: World, kind: object, name: str, replicas: int, rest_s: float = 30.0) -> None:
    await w.api.patch(kind, "ml", name, {"spec": {"replicas": replicas}}, subresource="scale")  # type: ignore[arg-type]
    await w.rest(rest_s)


async def test_raising_one_side_raises_the_other_in_that_replica_alone() -> None:
    async with world() as w:
        await w.apply(story("prefill:decode=1:2"))
        await w.rest()
        assert sizes(w) == (1, 2)
        await scale(w, POD_CLIQUE, "web-0-prefill", 3)
        assert (sizes(w, 0), sizes(w, 1)) == ((3, 6), (1, 2))
        await scale(w, SCALING_GROUP, "web-1-decode", 3)
        assert sizes(w, 1) == (2, 4)
        before = w.writes_of("operator")
        template = w.api.objects(POD_CLIQUE_SET)[0]["spec"]["template"]
        assert template == story("")["spec"]["template"]
        await w.rest(600)
        assert w.writes_of("operator") == before


async def test_lowering_one_side_is_undone_and_lowering_both_within_two_seconds_is_not() -> None:
    async with world() as w:
        await w.apply(story("prefill:decode=1:2"))
        await w.rest()
        await scale(w, POD_CLIQUE, "web-0-prefill", 2)
        await scale(w, SCALING_GROUP, "web-0-decode", 2)
        assert sizes(w) == (2, 4)
        await scale(w, POD_CLIQUE, "web-0-prefill", 1, rest_s=1.0)
        await scale(w, SCALING_GROUP, "web-0-decode", 2)
        assert sizes(w) == (1, 2)


async def test_an_autoscalers_maximum_is_not_passed() -> None:
    async with world() as w:
        await w.apply(story("prefill:decode=1:2", autoScalingConfig={"minReplicas": 1, "maxReplicas": 2}))
        await w.rest()
        await scale(w, SCALING_GROUP, "web-0-decode", 8)
        assert sizes(w) == (2, 8)
        await scale(w, POD_CLIQUE, "web-0-prefill", 5)  # by hand it may be, and is not taken back
        assert sizes(w) == (5, 10)


async def test_a_ratio_that_cannot_be_read_is_told_and_changes_nothing() -> None:
    for ratio, why in (
        ("prefill:decode=1", "write it as prefill:decode=1:2"),
        ("prefill:decode=1:0", "write it as prefill:decode=1:2"),
        ("prefill:d=1:2", "d is no standalone clique and no scaling group of the set"),
    ):
        async with world() as w:
            await w.apply(story(ratio))
            await w.rest()
            await scale(w, POD_CLIQUE, "web-0-prefill", 3)
            assert sizes(w) == (3, 2)
            (error,) = w.api.objects(POD_CLIQUE_SET)[0]["status"]["lastErrors"]
            assert (error["code"], error["description"].endswith(why)) == ("ERR_REPLICA_RATIO", True)
