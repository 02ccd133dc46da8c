"""What a proof is, how it is cut into chunks, and how the figures of its chunks become one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Figures = Mapping[str, float]
"""Names and numbers. Chunks are added up; a name that begins with `max_` or `min_` takes the largest or smallest."""

Progress = Callable[[int], None]
"""Told how many cases are done since it was told last."""


@dataclass(frozen=True)
class Proof:
    """`count` cases of one claim. `run(seed, count, progress)` raises AssertionError at a counterexample.

    A chunk of `chunk` cases is what is lost when a run is interrupted; `workers` chunks run at once, each in a process
    of its own, so `run` has to be a function of a module.
    """

    name: str
    claim: str
    run: Callable[[int, int, Progress], Figures]
    count: int
    chunk: int
    workers: int = 1

    def chunks(self, seed: int) -> list[tuple[int, int]]:
        """(seed, count) of each chunk: seeds of different chunks and base seeds don't meet."""
        starts = range(0, self.count, self.chunk)
        return [(seed * 1_000_003 + start, min(self.chunk, self.count - start)) for start in starts]


def run_chunk(proof: Proof, seed: int, count: int) -> tuple[dict[str, float], float]:
    """Figures and seconds. Here and not beside `main`: a spawned process cannot import what `python -m` runs."""
    started = time.monotonic()
    figures = dict(proof.run(seed, count, lambda _done: None))  # chunks in other processes tell nothing before they end
    return figures, time.monotonic() - started


def merged(parts: list[Figures]) -> dict[str, float]:
    """The figures of all chunks as one."""
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            if name not in total:
                total[name] = value
            elif name.startswith("max_"):
                total[name] = max(total[name], value)
            elif name.startswith("min_"):
                total[name] = min(total[name], value)
            else:
                total[name] += value
    return total


def sentence(figures: Figures) -> str:
    """`instances 20,000; undecided 3; max ms 12.5`."""
    return "; ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in figures.items())


def number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
