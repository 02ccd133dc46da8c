"""The golden stories on a real API server: written down by hand, and the same graph as on the simulated one.

Operator, binder and nodes are those of the simulated world, against the real server and the real clock. It serves small
CRDs in the place of NVIDIA's and KAI's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import (
    BY_KIND,
    COMPUTE_DOMAIN,
    CRD,
    EVENT,
    KAI_POD_GROUP,
    KAI_TOPOLOGY,
    NAMESPACE,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_GROUP,
    Json,
    Kind,
)
from grove_operator.core.settings import Settings
from grove_operator.engine.operator import Operator
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.clock import RealClock
from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from grove_operator.sim.nodeagent import SimNodeAgent
from tests.golden.graph import KINDS, OPTIONAL, STORIES, expectation, faults, inputs, lacks, normal, settings_of
from tests.golden.record import play
from tests.sim.world import BindEverything
from tests.support.deployed import until
from tests.support.grove_elsewhere import Elsewhere, defaulted

pytestmark = pytest.mark.needs_tools
PATIENCE_S = 60.0
Graph = dict[str, Json]


@dataclass(frozen=True)
class Played:
    """The graph of each story, and the operator's writes while all of them rested."""

    graphs: dict[str, Graph]
    writes_at_rest: dict[Any, int]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    with bare_control_plane(tmp_path_factory.mktemp("stories")) as running:
        asyncio.run(_serve(running))
        yield running


@pytest.fixture(scope="module")
def played(plane: BareControlPlane) -> Played:
    """All stories: first together those that need nothing special, then the others."""
    graphs: dict[str, Graph] = {}
    rest: dict[Any, int] = {}
    for stories in ([s for s in STORIES if s not in OPTIONAL], sorted(OPTIONAL)):
        some = asyncio.run(_play(plane.kubeconfig, stories, settings_of(stories[0])))
        graphs |= some.graphs
        rest |= some.writes_at_rest
    return Played(graphs, rest)


def foreign_crd(kind: Kind) -> Json:
    """Takes whatever the kind holds."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: Json = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": {"kind": kind.kind, "plural": kind.plural},
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


async def _serve(plane: BareControlPlane) -> None:
    async with HttpKubeApi.from_kubeconfig(plane.kubeconfig) as api:
        foreign = (COMPUTE_DOMAIN, KAI_POD_GROUP, KAI_TOPOLOGY)
        for crd in (*all_crds(), *map(foreign_crd, foreign)):
            await api.create(CRD, None, crd)

        async def are_served() -> bool:
            with contextlib.suppress(NotFound):
                for kind in (POD_CLIQUE_SET, *foreign):
                    await api.list(kind)
                return True
            return False

        await until(are_served, PATIENCE_S)


async def _play(kubeconfig: Path, stories: list[str], settings: Settings) -> Played:
    clock = RealClock()
    async with HttpKubeApi.from_kubeconfig(kubeconfig) as api, running(api, clock, settings) as operator:
        for story in stories:
            await api.create(NAMESPACE, None, {"metadata": {"name": story}})
            for document in inputs(story):
                await api.create(BY_KIND[document["kind"]], document["metadata"].get("namespace"), document)
        await until(lambda: _are_up(api, stories), PATIENCE_S, every_s=0.2)
        await until(lambda: _is_quiet(operator), PATIENCE_S, every_s=0.0)
        written = await _written(operator, 5)
        return Played({story: await _graph(api, story) for story in stories}, written)


@contextlib.asynccontextmanager
async def running(api: HttpKubeApi, clock: RealClock, settings: Settings) -> AsyncIterator[Operator]:
    """An operator, a scheduler that binds everything, and nodes that always work."""
    operator = Operator(api, clock, settings=settings)
    parts = (operator.run(), BindEverything(api, clock).run(), SimNodeAgent(api, clock).run())
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await operator.synced.wait()
        yield operator
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _are_up(api: HttpKubeApi, stories: list[str]) -> bool:
    """Every set has said that it is there and current, and every pod is counted."""
    for story in stories:
        for pcs in (await api.list(POD_CLIQUE_SET, namespace=story)).items:
            status = pcs.get("status") or {}
            said = {c["type"]: c["status"] for c in status.get("conditions", ())}
            if (said.get("Available"), said.get("Progressing")) != ("True", "False"):
                return False
        pods = (await api.list(POD, namespace=story)).items
        if len(pods) != sum(expectation(story)["pods"].values()):
            return False
    return True


async def _is_quiet(operator: Operator) -> bool:
    """Cliques and groups tell their last news after the set has told its own."""
    return not await _written(operator, 2)


async def _written(operator: Operator, within_s: float) -> dict[Any, int]:
    before = operator.metrics.writes.copy()
    await asyncio.sleep(within_s)
    return {what: n for what, n in (operator.metrics.writes - before).items() if what[1] != EVENT.kind}


async def _graph(api: HttpKubeApi, story: str) -> Graph:
    """Everything in the story's namespace, and the cluster's objects that it names."""
    found: list[Json] = []
    names = expectation(story)["names"]
    for kind in KINDS:
        try:
            listed = (await api.list(kind, namespace=story if kind.namespaced else None)).items
        except ApiError:
            continue
        if not kind.namespaced:
            listed = [o for o in listed if o["metadata"]["name"] in names.get(kind.kind, ())]
        found += [{**o, "kind": kind.kind, "apiVersion": kind.api_version} for o in listed]
    return normal(found)


@pytest.mark.parametrize("story", STORIES)
def test_a_story_ends_as_a_person_wrote_it_down(played: Played, story: str) -> None:
    assert faults(expectation(story), played.graphs[story]) == []


@pytest.mark.parametrize("story", STORIES)
async def test_a_story_ends_in_the_graph_of_the_simulated_server(played: Played, story: str) -> None:
    """The real one fills in more; it must hold all that the simulated one has, and no other object."""
    simulated, real = normal(await play(story)), played.graphs[story]
    assert sorted(real) == sorted(simulated)
    assert [f"{key}{where}" for key, obj in simulated.items() for where in lacks(real[key], _untimed(obj))] == []


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _untimed(v) for k, v in value.items() if not k.endswith(("Time", "startedAt"))}
    return [_untimed(v) for v in value] if isinstance(value, list) else value


def test_nothing_is_written_once_all_stories_are_told(played: Played) -> None:
    assert played.writes_at_rest == {}


async def test_a_workload_of_groves_own_operator_is_taken_over_with_every_pod(plane: BareControlPlane) -> None:
    """As it leaves one on this very server, which checks schemas and fills in defaults; then a change rolls a role."""
    clock, place = RealClock(), "take-over"
    pcs = defaulted(inputs("worked-example")[0])
    pcs["metadata"]["namespace"] = place
    async with HttpKubeApi.from_kubeconfig(plane.kubeconfig) as api:
        await api.create(NAMESPACE, None, {"metadata": {"name": place}})

        async def put(obj: Json) -> Json:
            kind, status = BY_KIND[obj["kind"]], obj.pop("status", None)
            made = await api.create(kind, place, obj)
            if status:
                name = obj["metadata"]["name"]
                made = await api.patch(kind, place, name, {"status": status}, subresource="status")
            return {**made, "kind": kind.kind, "apiVersion": kind.api_version}

        async def found(*kinds: Kind) -> list[Json]:
            return [obj for kind in kinds for obj in (await api.list(kind, namespace=place)).items]

        async def uids(*kinds: Kind) -> set[str]:
            return {obj["metadata"]["uid"] for obj in await found(*kinds)}

        async def is_taken_over() -> bool:
            labelled = [obj["metadata"]["labels"]["grove.io/pod-template-hash"] for obj in await found(POD, POD_CLIQUE)]
            sets = await found(POD_CLIQUE_SET, SCALING_GROUP, POD_CLIQUE)
            return all(one.startswith("v1-") for one in labelled) and not any(
                o["metadata"].get("finalizers") for o in sets
            )

        await Elsewhere(put).leave(pcs)
        kinds = (POD, POD_CLIQUE, SCALING_GROUP, POD_GANG)
        before, frontends = (
            await uids(*kinds),
            {p["metadata"]["uid"] for p in await found(POD) if "fe" in p["spec"]["hostname"]},
        )
        async with running(api, clock, Settings()):
            await until(is_taken_over, PATIENCE_S, every_s=0.2)
            assert await uids(*kinds) == before
            live = await api.get(POD_CLIQUE_SET, place, "svc")
            assert "updateProgress" not in live["status"]
            cliques = live["spec"]["template"]["cliques"]
            cliques[0]["spec"]["podSpec"]["containers"][0]["image"] = "newer"
            await api.patch(POD_CLIQUE_SET, place, "svc", {"spec": {"template": {"cliques": cliques}}})

            async def is_rolled_out() -> bool:
                status = (await api.get(POD_CLIQUE_SET, place, "svc"))["status"]
                return (
                    bool((status.get("updateProgress") or {}).get("updateEndedAt")) and status["updatedReplicas"] == 1
                )

            await until(is_rolled_out, PATIENCE_S, every_s=0.2)
            assert before - await uids(*kinds) == frontends
