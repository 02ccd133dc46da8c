"""Parts of the control plane that go away and come back while a workload runs: how long until all is well again."""

from __future__ import annotations

import asyncio
import time

from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET
from grove_operator.engine.ports import ApiError
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.killable import OPERATOR, Killable
from tests.support.lives import tried, watched
from tests.support.operated import Namespace, is_ready
from tests.support.placing import until
from tests.support.scaling import settle

PATIENCE_S = 180.0
WEBHOOKS = "webhooks"
"""Served by the operator, which is away with them."""
OUTAGES = ("etcd", "kube-apiserver", WEBHOOKS)


async def recovery_s(cluster: Killable, namespace: str, what: str, away_s: float) -> float:
    """Seconds from the return of what was away for `away_s` until admission answers, what was asked for meanwhile is
    done, and a new workload is Ready. AssertionError when a pod was replaced, doubled or moved."""
    await cluster.ensure_running()
    async with cluster.operated.namespace(namespace) as here, watched(here.api, namespace):
        await here.apply(podcliqueset([clique("a", 3), clique("w", 2)], [group("g", ["w"], 2, 1)]))
        await settle(here)
        before = {pod["metadata"]["uid"] for pod in await here.all(POD)}
        async with cluster.kept_running():
            away = asyncio.create_task(_away(cluster, what, away_s))
            await asyncio.sleep(0)
            asked = asyncio.create_task(tried(lambda: here.scale(POD_CLIQUE, "web-0-a", 5)))
            await away
            began = time.monotonic()
            await asked
            other = podcliqueset([clique("b", 2)])
            other["metadata"]["name"] = "other"
            await tried(lambda: here.apply(other))
            await until(lambda: _is_done(here), lambda: f"all is well again; {cluster.said(OPERATOR)}", PATIENCE_S)
            took_s = time.monotonic() - began
        left = {pod["metadata"]["uid"] for pod in await here.all(POD)}
        assert before <= left, f"{len(before - left)} pods were replaced"
    return took_s


async def _is_done(here: Namespace) -> bool:
    try:
        pods = [pod for pod in await here.all(POD) if is_ready(pod)]
        available = {o["metadata"]["name"]: o["status"]["availableReplicas"] for o in await here.all(POD_CLIQUE_SET)}
    except (ApiError, KeyError):
        return False
    return len(pods) == 5 + 4 + 2 and available == {"web": 1, "other": 1}


async def _away(cluster: Killable, what: str, away_s: float) -> None:
    """Returns when it answers again, or is free to be started again."""
    if what == WEBHOOKS:
        await cluster.hold_down(OPERATOR, away_s)
        return
    component = cluster.crash(what)
    await asyncio.sleep(away_s)
    await cluster.bring_back(component)
