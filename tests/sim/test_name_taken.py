"""Two sets that need the same object name: the first keeps it, the second says so and recovers."""

from __future__ import annotations

from grove_operator.api import conditions
from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json
from grove_operator.core.objects import controller_uid
from tests.sim.world import World, world
from tests.unit.api.manifests import clique, pcs


def named(it: World, name: str) -> Json:
    return next(obj for obj in it.api.objects(POD_CLIQUE_SET) if obj["metadata"]["name"] == name)


async def test_the_later_set_names_the_object_and_gets_it_when_it_comes_free() -> None:
    first, second = pcs(clique("a"), name="web-0"), pcs(clique("0-a"), name="web")
    async with world() as it:
        await it.apply(first)
        await it.rest()
        await it.apply(second)
        await it.rest()
        (shared,) = it.api.objects(POD_CLIQUE)
        assert controller_uid(shared) == named(it, "web-0")["metadata"]["uid"]
        said = conditions.find(named(it, "web"), "NameTaken")
        assert said is not None
        assert said["status"] == "True"
        assert "podclique default/web-0-0-a exists and is not controlled by this object" in said["message"]
        assert conditions.find(named(it, "web-0"), "NameTaken") is None
        await it.api.delete(POD_CLIQUE_SET, "default", "web-0")
        await it.rest(900)
        (own,) = it.api.objects(POD_CLIQUE)
        assert controller_uid(own) == named(it, "web")["metadata"]["uid"]
        assert conditions.find(named(it, "web"), "NameTaken") is None
        assert len(it.api.objects(POD)) == 1


async def test_a_group_says_so_of_its_members() -> None:
    group = {"name": "g", "cliqueNames": ["a"], "replicas": 1}
    async with world() as it:
        await it.apply(pcs(clique("0-a"), name="web-0-g"))  # needs web-0-g-0-0-a
        await it.apply(pcs(clique("0-a"), name="web", groups=[{**group, "cliqueNames": ["0-a"]}]))
        await it.rest()
        (obj,) = it.api.objects(SCALING_GROUP)
        said = conditions.find(obj, "NameTaken")
        assert said is not None
        assert "podclique default/web-0-g-0-0-a exists" in said["message"]
