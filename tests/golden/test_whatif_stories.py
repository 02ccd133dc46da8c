"""What simulate and explain print, word for word: a change shows in review as a diff of the golden file."""

from __future__ import annotations

import pytest

from tests.golden.whatif_story import FILES, ROOT, STORIES, render


@pytest.mark.parametrize("story", STORIES)
def test_a_what_if_prints_exactly_the_recorded_answer(story: str) -> None:
    recorded = (FILES / f"{story}.txt").read_text()
    assert render(story) == recorded, "read the difference, then: python -m tests.golden.whatif_story"


def test_the_manual_shows_what_is_really_printed() -> None:
    blocks = (ROOT / "docs" / "what-if.md").read_text().split("```\n")
    shown = [b for b in blocks if b.startswith(("$ grove simulate", "$ grove explain"))]
    assert len(shown) == 4
    assert {*shown} <= {(FILES / f"{story}.txt").read_text() for story in STORIES}
