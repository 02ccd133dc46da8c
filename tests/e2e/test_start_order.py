"""Start order for real: `grove-initc` runs as a process in each waiting pod and watches the pods of its gang.

Every pod's main container is a process that turns Ready when the test opens its gate: a file.

    a (2 pods, 1 needed) ──> b ──┬──────> e ──> f       a tree with a diamond in it, and a chain of four
                       └───> c ──┴─> d
"""

from __future__ import annotations

from pathlib import Path

import pytest

from grove_operator.api.kinds import POD, SECRET, Json
from tests.e2e.conftest import REAL_PYTHON
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.operated import Namespace, Operated, is_ready

pytestmark = pytest.mark.needs_tools
SLEEP = "import signal; signal.sigwait({signal.SIGTERM})"


def gated(name: str, replicas: int, gates: Path, least: int | None = None, after: list[str] | None = None) -> Json:
    """A role whose pods are Ready while the file `<gates>/<PodClique>-<index>` exists."""
    test = f'test -e "{gates}/$GROVE_PCLQ_NAME-$GROVE_PCLQ_POD_INDEX"'
    probe: Json = {"exec": {"command": ["/bin/sh", "-c", test]}, "periodSeconds": 1, "failureThreshold": 1}
    container: Json = {"name": "main", "image": REAL_PYTHON, "args": ["-c", SLEEP], "readinessProbe": probe}
    more = {"startsAfter": after} if after else {}
    return clique(
        name, replicas, least, podSpec={"containers": [container], "terminationGracePeriodSeconds": 2}, **more
    )


def has_started(pod: Json) -> bool:
    return any("running" in s.get("state", {}) for s in pod.get("status", {}).get("containerStatuses", ()))


def is_waiting(pod: Json) -> bool:
    """Its init container runs, its main container does not."""
    inits = pod.get("status", {}).get("initContainerStatuses") or ()
    return any("running" in s.get("state", {}) for s in inits if s["name"] == "grove-initc") and not has_started(pod)


async def all_are(here: Namespace, claim: object, *cliques: str) -> bool:
    pods = [p for name in cliques for p in await here.pods(f"web-0-{name}")]
    return len(pods) >= len(cliques) and all(claim(p) for p in pods)  # type: ignore[operator]


async def test_a_tree_with_a_diamond_starts_from_its_root_with_minima_and_also_after_a_parent_restarts(
    operated: Operated, tmp_path: Path
) -> None:
    cliques = [
        gated("a", 2, tmp_path, least=1),
        gated("b", 1, tmp_path, after=["a"]),
        gated("c", 1, tmp_path, after=["a"]),
        gated("d", 1, tmp_path, after=["b", "c"]),
        gated("e", 1, tmp_path, after=["b"]),
        gated("f", 1, tmp_path, after=["e"]),
    ]
    async with operated.namespace("diamond") as here:
        await here.apply(podcliqueset(cliques, cliqueStartupType="CliqueStartupTypeExplicit"))
        await here.eventually(lambda: all_are(here, has_started, "a"))
        await here.eventually(lambda: all_are(here, is_waiting, "b", "c", "d", "e", "f"))
        (tmp_path / "web-0-a-1").touch()  # one of two is the minimum
        await here.eventually(lambda: all_are(here, has_started, "b", "c"))
        (tmp_path / "web-0-b-0").touch()
        await here.eventually(lambda: all_are(here, is_ready, "b"))
        await here.eventually(lambda: all_are(here, has_started, "e"))
        assert await all_are(here, is_waiting, "d", "f")
        (tmp_path / "web-0-e-0").touch()
        await here.eventually(lambda: all_are(here, has_started, "f"))
        assert await all_are(here, is_waiting, "d")
        (tmp_path / "web-0-c-0").touch()
        await here.eventually(lambda: all_are(here, has_started, "d"))

        (tmp_path / "web-0-a-1").unlink()
        parent = next(p for p in await here.pods("web-0-a") if p["spec"]["hostname"] == "web-0-a-1")
        await here.api.delete(POD, here.name, parent["metadata"]["name"])
        await here.eventually(lambda: none_is_ready(here, "a"))
        await here.eventually(lambda: all_are(here, has_started, "a"))
        old = (await here.pods("web-0-b"))[0]
        assert is_ready(old)  # what runs goes on running
        await here.api.delete(POD, here.name, old["metadata"]["name"])
        await here.eventually(lambda: all_are(here, is_waiting, "b"))
        (tmp_path / "web-0-a-0").touch()
        await here.eventually(lambda: all_are(here, is_ready, "b"))


async def none_is_ready(here: Namespace, name: str) -> bool:
    return not any(is_ready(p) for p in await here.pods(f"web-0-{name}"))


async def test_in_a_scaled_gang_only_parents_of_the_same_group_replica_count(
    operated: Operated, tmp_path: Path
) -> None:
    cliques = [gated("fe", 1, tmp_path), gated("lead", 1, tmp_path), gated("work", 2, tmp_path)]
    groups = [group("g", ["lead", "work"], 2)]
    async with operated.namespace("chain") as here:
        await here.apply(podcliqueset(cliques, groups, cliqueStartupType="CliqueStartupTypeInOrder"))
        await here.eventually(lambda: all_are(here, has_started, "fe", "g-1-lead"))
        await here.eventually(lambda: all_are(here, is_waiting, "g-0-lead", "g-0-work", "g-1-work"))
        (tmp_path / "web-0-g-1-lead-0").touch()
        await here.eventually(lambda: all_are(here, has_started, "g-1-work"))
        assert await all_are(here, is_waiting, "g-0-lead", "g-0-work")
        for name in ("fe-0", "g-0-lead-0", "g-0-work-0", "g-0-work-1", "g-1-work-0", "g-1-work-1"):
            (tmp_path / f"web-0-{name}").touch()
        await here.eventually(lambda: here.is_settled("web"))


async def test_without_an_order_no_token_is_made_and_nothing_waits(operated: Operated) -> None:
    async with operated.namespace("no-order") as here:
        await here.apply(podcliqueset([clique("a", 1), clique("b", 1)]))
        await here.eventually(lambda: here.is_settled("web"))
        assert await here.all(SECRET) == []
        assert not any(p["spec"].get("initContainers") for p in await here.all(POD))
