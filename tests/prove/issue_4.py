"""The Grove API, whole: full counts."""

from __future__ import annotations

from tests.prove.proof import Figures, Progress, Proof
from tests.support.fuzz import fuzz


def malformed_objects(seed: int, count: int, progress: Progress) -> Figures:
    """Faults, and nothing else, for whatever an object holds."""
    tally = fuzz(seed, count, progress)
    return {"malformed objects": tally.cases, "faults told": tally.faults, "still valid": tally.valid}


def proofs() -> list[Proof]:
    return [
        Proof(
            "malformed",
            "Malformed objects through defaults, validation, conversion and `grove validate` raise nothing but faults",
            malformed_objects,
            10_000,
            2_500,
        ),
    ]
