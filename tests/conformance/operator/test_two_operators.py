"""Two operators at once: one Lease, one writer, and a hand-over that nobody notices."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess

import pytest

from grove_operator.api.kinds import LEASE, POD, POD_CLIQUE, POD_CLIQUE_SET
from grove_operator.kube.client import HttpKubeApi
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.killable import LEASES, OPERATOR, Killable
from tests.support.lives import watched
from tests.support.operated import Namespace
from tests.support.placing import until
from tests.support.scaling import settle

pytestmark = pytest.mark.needs_tools


async def test_the_standby_writes_nothing_while_the_leader_works(running: Killable) -> None:
    async with running.operated.namespace("standby") as here, watched(here.api, here.name):
        standby = await _standby(running, here.api)
        await here.apply(podcliqueset([clique("a", 4), clique("w", 2)], [group("g", ["w"], 2, 1)]))
        await settle(here)
        for replicas in (7, 2):
            await here.scale(POD_CLIQUE, "web-0-a", replicas)
            await here.eventually(lambda n=replicas: _has(here, n))
        assert await _writes(running, standby) <= {"leases"}
        assert "pods" in await _writes(running, running.alive(OPERATOR)[0])
        standby.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(standby.wait, 15) == 0


async def test_told_to_end_in_mid_update_the_leader_hands_over_and_the_update_goes_on(running: Killable) -> None:
    async with running.operated.namespace("handed-over") as here, watched(here.api, here.name):
        await here.apply(podcliqueset([clique("a", 6, 1), clique("b", 3)]))
        await settle(here)
        leader = running.alive(OPERATOR)[0]
        standby = await _standby(running, here.api)
        untouched = {pod["metadata"]["uid"] for pod in await here.pods("web-0-b")}
        await _change_image(here, "a")
        await here.eventually(lambda: _renewed(here, 2))
        leader.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(leader.wait, 15) == 0, running.said(OPERATOR)
        assert f"lease {LEASES[OPERATOR]} released" in running.installation.said(running.names[leader.pid])
        await running.leads(here.api, OPERATOR, standby)
        await here.eventually(lambda: _renewed(here, 6))
        await settle(here)
        assert {pod["metadata"]["uid"] for pod in await here.pods("web-0-b")} == untouched


async def test_a_leader_that_was_frozen_finds_another_one_and_ends_without_a_write(running: Killable) -> None:
    async with running.operated.namespace("frozen") as here, watched(here.api, here.name):
        await here.apply(podcliqueset([clique("a", 6, 1)]))
        await settle(here)
        frozen = running.alive(OPERATOR)[0]
        standby = await _standby(running, here.api)
        await _change_image(here, "a")
        await here.eventually(lambda: _renewed(here, 1))
        frozen.send_signal(signal.SIGSTOP)
        await running.leads(here.api, OPERATOR, standby)
        await here.scale(POD_CLIQUE, "web-0-a", 8)
        await here.eventually(lambda: _renewed(here, 8))
        frozen.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(frozen.wait, 30) == 6, running.installation.said(running.names[frozen.pid])
        await settle(here)
        assert await _renewed(here, 8)
        lease = await here.api.get(LEASE, running.installation.options.namespace, LEASES[OPERATOR])
        assert lease["spec"]["holderIdentity"].startswith(running.names[standby.pid])


async def _standby(running: Killable, api: HttpKubeApi) -> subprocess.Popen[bytes]:
    """A second operator that has seen that another one leads."""
    process = running.start(OPERATOR)

    async def waits() -> bool:
        assert process.poll() is None, running.said(OPERATOR)
        return "; waiting" in running.said(OPERATOR)

    await until(waits, lambda: f"the standby waits; {running.said(OPERATOR)}")
    return process


async def _writes(running: Killable, process: subprocess.Popen[bytes]) -> set[str]:
    """Of which resources the process wrote any, by its own count of requests."""
    number = running.installation.processes.index(process) + 1
    code, text = await running.installation.probe("/metrics", number, running.installation.options.metrics_port)
    assert code == 200, text
    return set(re.findall(r'^grove_writes_total\{[^}]*resource="(\w+)"', text, re.MULTILINE))


async def _has(here: Namespace, replicas: int) -> bool:
    await settle(here)
    return len(await here.pods("web-0-a")) == replicas


async def _change_image(here: Namespace, name: str) -> None:
    cliques = (await here.all(POD_CLIQUE_SET))[0]["spec"]["template"]["cliques"]
    for entry in cliques:
        if entry["name"] == name:
            entry["spec"]["podSpec"]["containers"][0]["image"] = "y"
    await here.api.patch(POD_CLIQUE_SET, here.name, "web", {"spec": {"template": {"cliques": cliques}}})


async def _renewed(here: Namespace, at_least: int) -> bool:
    return sum(p["spec"]["containers"][0]["image"] == "y" for p in await here.all(POD)) >= at_least
