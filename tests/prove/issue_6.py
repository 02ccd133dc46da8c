"""Issue 6 in full: a hundred random sequences of scalings on the local cluster, each ending as a fresh apply."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from tests.prove.proof import Figures, Progress, Proof
from tests.sim.test_scaling import mixture
from tests.support.operated import Operated, operated_cluster
from tests.support.scaling import STEPS, rest, sequence

REST_S, REST_AT_THE_END_S = 5.0, 60.0


def scalings(seed: int, count: int, progress: Progress) -> Figures:
    """One cluster for the chunk; zero writes for 5 s after each sequence and for 60 s at the end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grove-prove-") as home, operated_cluster(Path(home)) as operated:
        asyncio.run(_scalings(operated, seed, count, progress))
    return {"sequences": count, "scalings": count * STEPS, "max_chunk_s": time.monotonic() - began}


async def _scalings(operated: Operated, seed: int, count: int, progress: Progress) -> None:
    async with operated.namespace("mixed") as here, operated.namespace("mixed-fresh") as fresh:
        for n in range(count):
            await sequence(operated, here, fresh, seed + n, REST_S)
            progress(1)
        assert await rest(operated, REST_AT_THE_END_S) == {}


def simulated(seed: int, count: int, progress: Progress) -> Figures:
    """The same claim on the simulated API server, with deleted pods among the scalings."""
    for n in range(count):
        asyncio.run(mixture(seed + n))
        progress(1)
    return {"sequences": count, "steps": count * 12}


def proofs() -> list[Proof]:
    claim = (
        "Random scalings of set, groups and cliques, concurrently, end in the graph of a fresh apply; no pod beyond "
        "the scaled part is replaced; nothing is written for 5 s after each and 60 s at the end (real API server)."
    )
    in_memory = (
        "Random scalings and deletions of pods on the simulated API server end in graph and statuses of a fresh apply; "
        "nothing is written for a minute afterwards."
    )
    return [
        Proof("scalings", claim, scalings, count=100, chunk=5, workers=4),
        Proof("simulated", in_memory, simulated, count=300, chunk=50, workers=2),
    ]
