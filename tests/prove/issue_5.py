"""The Pulumi package: full counts."""

from __future__ import annotations

import time

from grove_components import build_stack
from tests.bench.pulumi_preview import workloads
from tests.components.collect import collect
from tests.components.random_stacks import random_stack, told_and_written
from tests.prove.proof import Figures, Progress, Proof

BAR_S = 5.0


def rendered_is_applied(seed: int, count: int, progress: Progress) -> Figures:
    objects = 0
    for case in range(seed, seed + count):
        told, written = told_and_written(random_stack(case))
        assert told == written, f"stack of seed {case}"
        objects += len(told)
        progress(1)
    return {"stacks": count, "objects": objects}


def hundred_sets(seed: int, count: int, progress: Progress) -> Figures:
    """Time of our program for a preview of 100 PodCliqueSets, as CPU time: the wall has other work in it."""
    slowest = 0.0
    for _ in range(count):
        began = time.process_time()
        run = collect(lambda: build_stack(workloads(100)), preview=True, stack="h100")
        slowest = max(slowest, time.process_time() - began)
        assert len(run.of_type("kubernetes:grove.io/v1alpha1:PodCliqueSet")) == 100
        assert slowest < BAR_S, f"{slowest:.1f} s"
        progress(1)
    return {"previews": count, "max_cpu_s": round(slowest, 2)}


def proofs() -> list[Proof]:
    return [
        Proof(
            "rendered",
            "What `grove render` writes for a random stack is what Pulumi is told to apply",
            rendered_is_applied,
            1_000,
            125,
        ),
        Proof(
            "preview",
            f"A preview of 100 PodCliqueSets spends under {BAR_S:g} s of CPU time in our program",
            hundred_sets,
            10,
            5,
        ),
    ]
