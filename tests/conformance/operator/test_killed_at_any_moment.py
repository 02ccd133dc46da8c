"""Operator and scheduler killed in each phase of a hundred pods' life; `make prove ISSUE=8` kills fifty times."""

from __future__ import annotations

import pytest

from tests.support.killable import Killable
from tests.support.kills import disturbed, undisturbed

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(900)]


async def test_a_life_with_a_kill_in_each_phase_ends_each_phase_as_an_undisturbed_one(killable: Killable) -> None:
    model = await undisturbed(killable, "undisturbed")
    pods = [key for key in model.ends["create"] if key.startswith("Pod/")]
    assert len(pods) == 100
    kills = await disturbed(killable, "disturbed", model, seed=8)
    assert len(kills) == 5
