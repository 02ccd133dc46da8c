"""This operator doesn't reconcile beside another one, names it, and goes on when it is gone."""

from __future__ import annotations

import asyncio
import logging

import pytest

from grove_operator.api.install import install_manifests
from grove_operator.api.kinds import DEPLOYMENT, LEASE, Json
from grove_operator.cli.status import _sentences
from grove_operator.engine.ports import Invalid
from grove_operator.kube.lease import LeaseElection
from grove_operator.kube.rival import LOOK_S, RivalFound, RivalWatch, operators
from grove_operator.sim.apiserver import Request, SimApi
from grove_operator.sim.clock import SimClock

LEASE_NAME = "grove-operator-leader-election"


class Stage:
    def __init__(self) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.watch = RivalWatch(self.api, self.clock, "grove-system")

    def seed_lease(self, holder: str = "theirs_1", namespace: str = "nvidia") -> None:
        now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": now, "acquireTime": now}
        meta = {"name": LEASE_NAME, "namespace": namespace}
        self.api.seed({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec})

    async def renew(self, namespace: str = "nvidia") -> None:
        now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await self.api.patch(LEASE, namespace, LEASE_NAME, {"spec": {"renewTime": now}})

    async def is_alone(self) -> bool:
        """Whether it would begin now."""
        waiting = asyncio.ensure_future(self.watch.until_alone())
        await self.clock.settle()
        done = waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return done


def deployment(namespace: str = "nvidia", **spec: object) -> Json:
    meta = {"name": "grove-operator", "namespace": namespace}
    body = {"template": {"metadata": {"labels": {}}, "spec": {}}, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": body}


async def test_it_waits_and_names_who_holds_the_lease_elsewhere_until_that_one_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.seed_lease()
    began = asyncio.ensure_future(stage.watch.until_alone())
    for _ in range(6):
        await stage.clock.advance(5)
        await stage.renew()
        assert not began.done()
    assert "NVIDIA's Grove operator in namespace nvidia (lease held by theirs_1)" in stage.watch.fault()
    assert caplog.text.count("remove one of the two") == 1
    await stage.clock.advance(15 + 2 * LOOK_S)
    assert began.done()
    assert stage.watch.fault() == ""


async def test_a_lease_that_was_given_back_or_ran_out_long_ago_holds_nobody_up() -> None:
    stage = Stage()
    stage.seed_lease(holder="")
    assert await stage.is_alone()
    stage.seed_lease(namespace="other")
    await stage.clock.advance(60)
    assert await stage.is_alone()


async def test_one_whose_clock_is_wrong_is_found_at_the_second_look() -> None:
    stage = Stage()
    stage.seed_lease()
    await stage.clock.advance(600)
    assert await stage.is_alone()
    await stage.api.patch(LEASE, "nvidia", LEASE_NAME, {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}})
    with pytest.raises(RivalFound, match="namespace nvidia"):
        await stage.watch.check(None)


async def test_its_own_namespace_is_the_leases_business() -> None:
    stage = Stage()
    stage.seed_lease(namespace="grove-system")
    stage.api.seed(deployment("grove-system"))
    assert await stage.is_alone()


async def test_nvidias_deployment_without_a_lease_counts_while_it_has_pods() -> None:
    stage = Stage()
    stage.api.seed(deployment())
    assert not await stage.is_alone()
    assert "deployment grove-operator" in stage.watch.fault()
    await stage.api.patch(DEPLOYMENT, "nvidia", "grove-operator", {"spec": {"replicas": 0}})
    assert await stage.is_alone()


async def test_a_second_installation_of_ours_that_is_idle_is_no_rival() -> None:
    stage = Stage()
    ours = next(
        m for m in install_manifests() if m["kind"] == "Deployment" and m["metadata"]["name"] == "grove-operator"
    )
    ours["metadata"]["namespace"] = "second"
    stage.api.seed(ours)
    assert await stage.is_alone()


async def test_of_two_of_ours_the_one_that_leads_longer_stays() -> None:
    stage = Stage()
    first = LeaseElection(stage.api, stage.clock, "grove-system", LEASE_NAME, "first")
    await first.acquire()
    await stage.clock.advance(1)
    second = LeaseElection(stage.api, stage.clock, "elsewhere", LEASE_NAME, "second")
    await second.acquire()
    await stage.watch.check(first.lease)
    with pytest.raises(RivalFound, match="another one of this project in namespace grove-system"):
        await RivalWatch(stage.api, stage.clock, "elsewhere").check(second.lease)


async def test_behind_one_of_ours_it_waits_as_a_ready_standby(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    other = LeaseElection(stage.api, stage.clock, "elsewhere", LEASE_NAME, "other")
    await other.acquire()
    assert not await stage.is_alone()
    assert stage.watch.fault() == ""
    assert "not reconciling beside another one of this project in namespace elsewhere" in caplog.text
    await other.release()
    assert await stage.is_alone()


async def test_nvidias_that_comes_later_is_given_way_to() -> None:
    stage = Stage()
    mine = LeaseElection(stage.api, stage.clock, "grove-system", LEASE_NAME, "mine")
    await mine.acquire()
    await stage.watch.check(mine.lease)
    await stage.clock.advance(5)
    stage.seed_lease()
    with pytest.raises(RivalFound, match="not reconciling beside NVIDIA's Grove operator"):
        await stage.watch.check(mine.lease)


async def test_status_names_all_and_says_when_they_are_too_many() -> None:
    stage = Stage()
    mine = LeaseElection(stage.api, stage.clock, "grove-system", LEASE_NAME, "mine")
    await mine.acquire()
    stage.api.seed(deployment())
    found = await operators(stage.api, stage.clock.now())
    assert [(o.namespace, o.is_ours) for o in found] == [("grove-system", True), ("nvidia", False)]
    said = _sentences([{"namespace": o.namespace, "holder": o.holder, "isOurs": o.is_ours} for o in found])
    assert said[0] == "operator    this project's operator in namespace grove-system (lease held by mine)"
    assert said[1] == "operator    NVIDIA's Grove operator in namespace nvidia (deployment grove-operator)"
    assert "more than one" in said[2]
    assert _sentences([]) == ["no Grove operator reconciles this cluster"]


async def test_an_api_server_that_does_not_tell_is_no_rival_and_is_complained_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()

    def refuse(request: Request) -> None:
        if request.kind == "Lease":
            raise Invalid("leases is forbidden", status=403)

    stage.api.before_request(refuse)
    for _ in range(5):
        assert await stage.is_alone()
        await stage.clock.advance(LOOK_S)
    assert caplog.text.count("can't see whether another Grove operator is at work: leases is forbidden") == 1
