"""The simulated API server passes the cases of the real one (tests/conformance/contract, tests/e2e/test_collection)."""

from __future__ import annotations

import pytest

from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from tests.support.contract import CASES, COLLECTED, Case, Place


@pytest.mark.parametrize("case", [*CASES, *COLLECTED], ids=lambda case: case.__name__)
async def test_the_simulated_server_keeps_the_contract(case: Case) -> None:
    api = SimApi(SimClock())
    await case(Place(api, "ns", api.compact))
