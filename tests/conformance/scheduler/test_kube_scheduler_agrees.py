"""Beside the real kube-scheduler: the same verdict on a pinned pod, and gangs that stay whole while it churns.

The full counts: `make prove ISSUE=7`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.scheduler.agreement import compare
from tests.conformance.scheduler.churning import churn
from tests.support.placing import Plane, placing_plane

pytestmark = pytest.mark.needs_tools


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with placing_plane(tmp_path_factory.mktemp("pairs"), with_kube_scheduler=True) as made:
        yield made


async def test_forty_random_pairs_get_the_same_verdict(plane: Plane) -> None:
    async with plane.client() as api:
        figures = await compare(api, 40, 40)
    assert figures["bound"] >= 8, "neither all refused"
    assert figures["refused"] >= 8, "nor all bound"


async def test_no_gang_stays_bound_in_part_while_kube_scheduler_churns_on_the_same_nodes(plane: Plane) -> None:
    async with plane.client() as api:
        figures = await churn(api, gangs=10, seed=3)
    assert figures["gangs"] == 10
