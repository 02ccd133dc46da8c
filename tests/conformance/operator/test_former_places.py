"""On real servers, with processes that take their time to end: a group replica goes back to its rack."""

from __future__ import annotations

import pytest

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, EVENT, NODE, POD, POD_CLIQUE_SET, POD_GANG, Json
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.killable import GPUS, HOSTS, Killable
from tests.support.operated import REAL_PYTHON, Namespace
from tests.support.placing import until
from tests.support.scaling import settle

pytestmark = pytest.mark.needs_tools
ENDS_S = 4
RACK = "topology.kubernetes.io/rack"
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep({ends_s}), sys.exit()))
time.sleep(3600)  # version {version}
"""
LEVELS: Json = {"levels": [{"domain": "rack", "key": RACK}, {"domain": "host", "key": "kubernetes.io/hostname"}]}


def container(version: int) -> Json:
    program = PROGRAM.format(ends_s=ENDS_S, version=version)
    limits = {"nvidia.com/gpu": str(GPUS)}
    return {"name": "main", "image": REAL_PYTHON, "args": ["-c", program], "resources": {"limits": limits}}


def a_rack_each(version: int) -> Json:
    """Two replicas of a leader and its workers, as many as a rack has hosts, on eight racks."""
    cliques = [clique(n, c, podSpec={"containers": [container(version)]}) for n, c in (("l", 1), ("w", HOSTS - 1))]
    pack = {"topologyName": "former-places", "pack": {"required": "rack"}}
    return podcliqueset(cliques, [group("g", ["l", "w"], 2, 1, topologyConstraint=pack)])


async def racks(here: Namespace) -> dict[str, set[str]]:
    """By PodClique, of the pods that stay."""
    rack_of = {n["metadata"]["name"]: n["metadata"]["labels"][RACK] for n in (await here.api.list(NODE)).items}
    found: dict[str, set[str]] = {}
    for pod in await here.all(POD):
        if "deletionTimestamp" not in pod["metadata"]:
            name = pod["metadata"]["labels"]["grove.io/podclique"]
            found.setdefault(name, set()).add(rack_of[pod["spec"]["nodeName"]])
    return found


async def test_over_an_update_every_group_replica_keeps_its_rack_though_others_are_free(running: Killable) -> None:
    async with running.operated.namespace("former-places") as here:
        kind = {"apiVersion": CLUSTER_TOPOLOGY_BINDING.api_version, "kind": CLUSTER_TOPOLOGY_BINDING.kind}
        binding = {**kind, "metadata": {"name": "former-places"}, "spec": LEVELS}
        await here.api.create(CLUSTER_TOPOLOGY_BINDING, None, binding)
        await here.apply(a_rack_each(1))
        await settle(here)
        before, old = await racks(here), {pod["metadata"]["uid"] for pod in await here.all(POD)}
        assert {len(found) for found in before.values()} == {1}
        cliques = a_rack_each(2)["spec"]["template"]["cliques"]
        await here.api.patch(POD_CLIQUE_SET, here.name, "web", {"spec": {"template": {"cliques": cliques}}})

        async def is_through() -> bool:
            return not old & {pod["metadata"]["uid"] for pod in await here.all(POD)}

        await until(is_through, "every pod is replaced")
        await settle(here)
        assert await racks(here) == before
        told = [e["involvedObject"]["name"] for e in await here.all(EVENT) if e["reason"] == "ReturnsToItsPlace"]
        assert {*told} == {"web-0", "web-0-g-0"}
        for gang in await here.all(POD_GANG):
            own = {"namespace": here.name, "name": gang["metadata"]["name"]}
            assert gang["spec"]["reuseReservationRef"] == own
        await here.api.delete(CLUSTER_TOPOLOGY_BINDING, None, "former-places")
