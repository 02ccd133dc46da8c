"""The operator may die between any two of its writes: its successor ends in the same state, with no duplicates."""

from __future__ import annotations

from collections import Counter

import pytest

from grove_operator.api.kinds import EVENT, POD, POD_CLIQUE
from grove_operator.sim.apiserver import Request
from tests.sim.world import World, load, world


def shape(w: World) -> Counter[str]:
    """All objects; pods by clique and index, since their names hold a UID that differs between runs."""
    pods = [
        f"{p['metadata']['labels']['grove.io/podclique']}#{p['metadata']['labels']['grove.io/podclique-pod-index']}"
        for p in w.api.objects(POD)
    ]
    return Counter([name for name in w.everything() if not name.startswith("Pod/")] + pods)


@pytest.mark.parametrize(("story", "stride"), [("quickstart.yaml", 1), ("worked-example.yaml", 5)])
async def test_a_new_operator_at_every_write_boundary_ends_in_the_same_state(story: str, stride: int) -> None:
    async with world() as w:
        await w.apply(load(story))
        await w.rest(10)
        undisturbed, writes = shape(w), w.writes_of("operator")
    assert writes > 20
    for boundary in range(0, writes, stride):
        async with world() as w:
            seen = 0
            crashed = False

            def crash(request: Request, boundary: int = boundary, w: World = w) -> None:
                nonlocal seen, crashed
                if request.user == "operator" and request.is_write and request.kind != EVENT.kind:
                    seen += 1
                    crashed = crashed or seen > boundary
                    if crashed:
                        w.api.before_request(None)
                        w.kill_operator()

            w.api.before_request(crash)
            await w.apply(load(story))
            await w.rest(5)
            w.start_operator()
            await w.rest(10)
            assert shape(w) == undisturbed, f"after a crash at write {boundary}"


async def test_pods_are_not_made_again_and_again_for_an_owner_that_went_while_the_watch_was_late() -> None:
    async with world() as w:
        await w.apply(load("quickstart.yaml"))
        await w.rest()
        w.operator_hears_late_of(POD_CLIQUE, 20.0)
        clique = w.api.objects(POD_CLIQUE)[0]["metadata"]
        await w.api.delete(POD_CLIQUE, clique["namespace"], clique["name"])
        before = w.api.count_writes("operator")["create", "Pod", ""]
        await w.rest(60)
        assert w.api.count_writes("operator")["create", "Pod", ""] - before < 8
