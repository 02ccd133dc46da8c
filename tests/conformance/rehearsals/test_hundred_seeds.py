"""A hundred seeds of all stories, as the sample of the thousand that `make prove ISSUE=8` plays."""

from __future__ import annotations

import pytest

from tests.prove.issue_8 import STORIES, lives

FROM, COUNT = 1000, 92  # tests/sim plays eight others


@pytest.mark.parametrize("chunk", range(4))
def test_a_hundred_lives_hold_every_invariant(chunk: int) -> None:
    size = COUNT // 4
    figures = lives(FROM + chunk * size, size, lambda done: None)
    assert figures["seeds"] == size
    assert figures["virtual_hours"] > size * 8 / 60
    assert len(STORIES) >= 4
