"""A PodGangSet of an early release meets the operator."""

from __future__ import annotations

from grove_operator.api import conditions
from grove_operator.api.constants import ANNOTATION_CONVERTED_FROM
from grove_operator.api.kinds import POD, POD_CLIQUE_SET, POD_GANG_SET, Json
from grove_operator.api.validation import validate_podcliqueset
from tests.sim.world import World, world
from tests.unit.api.manifests import changed, clique, pcs, podgangset


def stored(it: World) -> Json:
    (found,) = it.api.objects(POD_GANG_SET)
    return found


async def test_it_becomes_a_podcliqueset_that_runs_and_says_what_it_could_not_carry() -> None:
    async with world() as it:
        await it.api.create(POD_GANG_SET, "default", podgangset())
        await it.rest()
        (made,) = it.api.objects(POD_CLIQUE_SET)
        former = stored(it)
        assert made["metadata"]["annotations"][ANNOTATION_CONVERTED_FROM] == former["metadata"]["uid"]
        assert "ownerReferences" not in made["metadata"]
        template = dict(podgangset()["spec"]["template"])
        del template["schedulingPolicyConfig"]
        assert made["spec"] == {**podgangset()["spec"], "template": template}
        assert conditions.is_true(former, "Converted")
        lost = conditions.find(former, "Lossless")
        assert lost is not None
        assert "networkPackGroupConfigs[0]: packing of leader, worker names no level" in lost["message"]
        assert len(it.api.objects(POD)) == 2 * 5
        writes = it.writes_of("operator")
        await it.rest(600)
        assert it.writes_of("operator") == writes


async def test_the_two_live_on_their_own_afterwards() -> None:
    async with world() as it:
        await it.api.create(POD_GANG_SET, "default", podgangset())
        await it.rest()
        await it.api.patch(POD_GANG_SET, "default", "web", {"spec": {"replicas": 5}})
        await it.rest()
        (made,) = it.api.objects(POD_CLIQUE_SET)
        assert made["spec"]["replicas"] == 2, "no synchronisation"
        await it.api.delete(POD_GANG_SET, "default", "web")
        await it.rest()
        assert it.names(POD_CLIQUE_SET) == ["web"], "the workload stays"
        await it.api.create(POD_GANG_SET, "default", podgangset())
        await it.rest()
        taken = conditions.find(stored(it), "Converted")
        assert taken is not None
        assert (taken["status"], taken["reason"]) == ("False", "NameTaken")


async def test_a_deleted_result_is_not_made_again() -> None:
    async with world() as it:
        await it.api.create(POD_GANG_SET, "default", podgangset())
        await it.rest()
        await it.api.delete(POD_CLIQUE_SET, "default", "web")
        await it.rest()
        it.kill_operator()
        it.start_operator()
        await it.rest()
        assert it.names(POD_CLIQUE_SET) == []


async def test_a_name_that_is_taken_is_told_and_comes_free() -> None:
    async with world() as it:
        await it.apply(changed(pcs(clique("other")), "metadata.namespace", "default"))
        await it.api.create(POD_GANG_SET, "default", podgangset())
        await it.rest()
        taken = conditions.find(stored(it), "Converted")
        assert taken is not None
        assert (taken["status"], taken["reason"]) == ("False", "NameTaken")
        await it.api.delete(POD_CLIQUE_SET, "default", "web")
        await it.rest()
        assert conditions.is_true(stored(it), "Converted")


def test_the_result_is_what_admission_accepts() -> None:
    from grove_operator.api.defaults import default_podcliqueset
    from grove_operator.api.podgangset_conversion import converted

    made = converted(podgangset()).pod_clique_set
    assert validate_podcliqueset(default_podcliqueset(made, with_schema_defaults=True)) == []
