"""Leader election in virtual time, with several candidates on one simulated API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from grove_operator.api.kinds import LEASE
from grove_operator.engine.ports import Overloaded
from grove_operator.kube.lease import LeadershipLost, LeaseElection, LeaseTiming
from grove_operator.sim.apiserver import Request, SimApi
from grove_operator.sim.clock import SimClock

NAMESPACE, NAME = "grove-system", "the-lease"


class Stage:
    """Candidates and their running tasks."""

    def __init__(self) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.tasks: list[asyncio.Task[None]] = []

    def candidate(self, who: str) -> LeaseElection:
        return LeaseElection(self.api.as_user(who), self.clock, NAMESPACE, NAME, who)

    def run(self, election: LeaseElection) -> asyncio.Task[None]:
        async def live() -> None:
            await election.acquire()
            await election.hold()

        task = asyncio.ensure_future(live())
        self.tasks.append(task)
        return task

    @property
    def holder(self) -> str:
        lease = self.api.find(LEASE, NAMESPACE, NAME)
        assert lease
        return str(lease["spec"]["holderIdentity"])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for task in stage.tasks:
        task.cancel()
    await asyncio.gather(*stage.tasks, return_exceptions=True)


async def test_one_of_two_candidates_leads(stage: Stage) -> None:
    a, b = stage.candidate("a"), stage.candidate("b")
    stage.run(a)
    stage.run(b)
    await stage.clock.advance(120)
    assert sorted([a.is_leader, b.is_leader]) == [False, True]
    lease = stage.api.find(LEASE, NAMESPACE, NAME)
    assert lease
    assert lease["spec"]["leaseTransitions"] == 0


async def test_a_dead_leader_is_followed_after_the_lease_has_run_out_and_not_before(stage: Stage) -> None:
    a, b = stage.candidate("a"), stage.candidate("b")
    dead = stage.run(a)
    await stage.clock.advance(1)
    stage.run(b)
    await stage.clock.advance(30)
    dead.cancel()
    took_s = await stage.clock.run_until(lambda: b.is_leader)
    assert 13 <= took_s <= 17 + 2
    assert stage.holder == "b"


async def test_a_released_lease_is_taken_at_the_next_look(stage: Stage) -> None:
    a, b = stage.candidate("a"), stage.candidate("b")
    leading = stage.run(a)
    await stage.clock.advance(1)
    stage.run(b)
    await stage.clock.advance(10)
    leading.cancel()
    await a.release()
    assert stage.holder == ""
    assert await stage.clock.run_until(lambda: b.is_leader) <= 2


async def test_a_holder_whose_clock_is_hours_off_keeps_the_lease_while_it_renews(stage: Stage) -> None:
    class WrongClock(SimClock):
        """Shares the virtual time of the stage, but believes it to be yesterday."""

        def __init__(self, real: SimClock) -> None:
            self._real = real
            self.now = lambda: real.now() - timedelta(hours=26)  # type: ignore[method-assign]
            self.monotonic = real.monotonic  # type: ignore[method-assign]
            self.sleep = real.sleep  # type: ignore[method-assign]

    a = LeaseElection(stage.api, WrongClock(stage.clock), NAMESPACE, NAME, "a")
    b = stage.candidate("b")
    stage.run(a)
    await stage.clock.advance(1)
    stage.run(b)
    await stage.clock.advance(600)
    assert (a.is_leader, b.is_leader) == (True, False)


async def test_a_leader_that_cannot_renew_gives_up_before_another_can_lead(stage: Stage) -> None:
    a, b = stage.candidate("a"), stage.candidate("b")
    cut_off = stage.run(a)
    await stage.clock.advance(1)
    stage.run(b)
    await stage.clock.advance(10)

    def cut_a_off(request: Request) -> None:
        if request.user == "a":
            raise Overloaded("unreachable")

    stage.api.before_request(cut_a_off)
    both_led = []
    while not b.is_leader:
        await stage.clock.advance(0.5)
        both_led.append(a.is_leader and b.is_leader)
    assert not any(both_led)
    with pytest.raises(LeadershipLost, match="could not be renewed"):
        cut_off.result()


async def test_a_hanging_api_server_ends_leadership_as_well(stage: Stage) -> None:
    hangs = asyncio.Event()

    class HangingApi(SimApi):
        async def patch(self, *args: object, **kwargs: object) -> dict[str, object]:
            if hangs.is_set():
                await asyncio.Event().wait()
            return await super().patch(*args, **kwargs)  # type: ignore[arg-type]

    api = HangingApi(stage.clock)
    a = LeaseElection(api, stage.clock, NAMESPACE, NAME, "a")
    task = stage.run(a)
    await stage.clock.advance(5)
    hangs.set()
    assert await stage.clock.run_until(task.done) <= 12
    assert isinstance(task.exception(), LeadershipLost)


async def test_a_short_outage_is_survived(stage: Stage) -> None:
    a = stage.candidate("a")
    task = stage.run(a)
    await stage.clock.advance(5)

    def down(_: Request) -> None:
        raise Overloaded("down")

    stage.api.before_request(down)
    await stage.clock.advance(6)
    stage.api.before_request(None)
    await stage.clock.advance(60)
    assert a.is_leader
    assert not task.done()


async def test_a_label_put_on_the_lease_by_a_user_harms_nothing(stage: Stage) -> None:
    a = stage.candidate("a")
    task = stage.run(a)
    await stage.clock.advance(5)
    await stage.api.patch(LEASE, NAMESPACE, NAME, {"metadata": {"labels": {"x": "y"}}})
    await stage.clock.advance(30)
    assert a.is_leader
    assert not task.done()


async def test_a_lease_taken_by_force_ends_leadership(stage: Stage) -> None:
    a = stage.candidate("a")
    task = stage.run(a)
    await stage.clock.advance(5)
    await stage.api.patch(LEASE, NAMESPACE, NAME, {"spec": {"holderIdentity": "intruder"}})
    await stage.clock.advance(5)
    with pytest.raises(LeadershipLost, match="intruder"):
        task.result()
    await a.release()
    assert stage.holder == "intruder"


def test_durations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="must exceed"):
        LeaseTiming(lease_duration_s=5, renew_deadline_s=10, retry_period_s=2)
