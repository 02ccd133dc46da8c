"""The contract's cases that need a garbage collector, on the local cluster; the simulated server passes them too."""

from __future__ import annotations

import pytest

from tests.support.contract import COLLECTED, Case, Place
from tests.support.operated import Operated

pytestmark = pytest.mark.needs_tools


@pytest.mark.parametrize("case", COLLECTED, ids=lambda case: case.__name__)
async def test_the_local_cluster_keeps_the_contract_of_collection(operated: Operated, case: Case) -> None:
    async with operated.namespace("collection") as here:
        await case(Place(here.api, here.name))
