"""The runner of proofs: chunks, figures that add up, a page whose other sections stay."""

from __future__ import annotations

from pathlib import Path

from tests.prove.page import write
from tests.prove.proof import Figures, Progress, Proof, merged, sentence


def run(_seed: int, count: int, _progress: Progress) -> Figures:
    return {"instances": count}


def proof(count: int, chunk: int) -> Proof:
    return Proof("all", "all is well", run, count, chunk)


def test_every_case_is_in_one_chunk_and_no_two_chunks_share_a_seed() -> None:
    chunks = proof(1005, 100).chunks(seed=1) + proof(1005, 100).chunks(seed=2)
    assert sum(count for _, count in chunks) == 2 * 1005
    assert len({seed for seed, _ in chunks}) == len(chunks)


def test_figures_of_chunks_are_added_and_extremes_kept() -> None:
    total = merged([{"cases": 2, "max_ms": 3.5, "min_free": 1}, {"cases": 3, "max_ms": 2.0, "min_free": 0}])
    assert total == {"cases": 5, "max_ms": 3.5, "min_free": 0}
    assert sentence(total) == "cases 5; max ms 3.50; min free 0"


def test_a_section_takes_the_place_of_the_old_one_and_leaves_the_others(tmp_path: Path) -> None:
    page = tmp_path / "proofs.md"
    write(7, "## Issue 7\n\nold\n", page)
    write(4, "## Issue 4\n\nfour\n", page)
    write(7, "## Issue 7\n\nnew\n", page)
    text = page.read_text()
    assert "old" not in text
    assert text.index("four") < text.index("new")
    assert text.startswith("# Proofs\n")
    assert text.count("# Proofs\n") == 1
