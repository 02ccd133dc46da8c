"""The control plane goes away and comes back; nobody has to do anything.

`make prove ISSUE=8` measures how long it takes.
"""

from __future__ import annotations

import pytest

from tests.support.killable import Killable
from tests.support.outages import OUTAGES, recovery_s

pytestmark = pytest.mark.needs_tools
AWAY_S = 3.0


@pytest.mark.parametrize("what", OUTAGES)
async def test_what_was_asked_for_meanwhile_is_done_and_no_pod_is_replaced(killable: Killable, what: str) -> None:
    assert await recovery_s(killable, f"without-{what}", what, AWAY_S) > 0
