"""No partial gang, no double bind, all placed: though the scheduler is killed, or two run at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.scheduler.killing import killed_while_binding, two_at_once
from tests.support.placing import Plane, placing_plane

pytestmark = pytest.mark.needs_tools


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with placing_plane(tmp_path_factory.mktemp("killed")) as made:
        yield made


async def test_five_kills_while_two_hundred_gangs_are_bound_leave_every_gang_whole(plane: Plane) -> None:
    async with plane.client() as api:
        figures = await killed_while_binding(plane, api, gangs=200, kills=5, seed=7)
    assert figures["kills"] == 5


async def test_two_schedulers_at_once_bind_as_one(plane: Plane) -> None:
    async with plane.client() as api:
        await two_at_once(plane, api, gangs=60, seed=7)
