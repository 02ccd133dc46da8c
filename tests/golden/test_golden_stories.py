"""What a manifest becomes, object by object: a change shows in review as a diff of the golden file."""

from __future__ import annotations

import pytest

from tests.golden.story import FILES, STORIES, render


@pytest.mark.parametrize("story", STORIES)
async def test_a_manifest_becomes_exactly_the_recorded_objects(story: str) -> None:
    recorded = (FILES / f"{story}.yaml").read_text()
    assert await render(story) == recorded, "read the difference, then: python -m tests.golden.story"
