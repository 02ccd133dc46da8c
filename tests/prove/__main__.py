"""Runs the full proofs of one issue: `make prove ISSUE=7`, or python -m tests.prove 7 --only oracle.

Stops after --minutes with what is done kept; the same command goes on. Exit 0: all proved and docs/proofs.md written.
1: a counterexample, with its seed. 2: bad input. 3: time is up, run it again.
"""

from __future__ import annotations

import importlib
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

import click
from rich.console import Console

from tests.prove.page import Line, section, write
from tests.prove.progress import Kept
from tests.prove.proof import Proof, merged, run_chunk, sentence

console = Console(stderr=True, highlight=False)


def key(proof: Proof, seed: int, count: int) -> str:
    """What a finished chunk is kept under."""
    return f"{proof.name}:{seed}:{count}"


def prove(proof: Proof, seed: int, kept: Kept, deadline: float) -> bool:
    """Whether every chunk is done. Raises what a chunk raises, its seed said before."""
    left = [(s, n) for s, n in proof.chunks(seed) if key(proof, s, n) not in kept.chunks]
    running: dict[Future[tuple[dict[str, float], float]], tuple[int, int]] = {}
    with ProcessPoolExecutor(proof.workers, mp_context=get_context("spawn")) as pool:
        while left or running:
            while left and len(running) < proof.workers and time.monotonic() < deadline:
                chunk = left.pop(0)
                running[pool.submit(run_chunk, proof, *chunk)] = chunk
            if not running:
                return False
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                chunk_seed, count = running.pop(done)
                if (problem := done.exception()) is not None:
                    what = "counterexample" if isinstance(problem, AssertionError) else "no answer"
                    console.print(f"{proof.name}: {what} in the chunk of seed {chunk_seed}, {count} cases")
                    raise problem
                kept.add(key(proof, chunk_seed, count), *done.result())
                console.print(
                    f"{proof.name}: {proof.count - sum(n for _, n in left):,} of {proof.count:,} begun or done"
                )
    return True


def line(proof: Proof, seed: int, kept: Kept) -> Line:
    chunks = [kept.chunks[key(proof, s, n)] for s, n in proof.chunks(seed)]
    figures = merged([chunk["figures"] for chunk in chunks])
    return Line(proof.claim, proof.count, sentence(figures), sum(chunk["seconds"] for chunk in chunks))


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]}, epilog="Example: python -m tests.prove 7 --only oracle"
)
@click.argument("issue", type=int)
@click.option("--seed", default=1, show_default=True, help="Base seed of all cases.")
@click.option("--minutes", default=60.0, show_default=True, help="Begin no chunk after this time.")
@click.option("--only", multiple=True, help="Only proofs of this name; docs/proofs.md is then left alone.")
@click.option("--fresh", is_flag=True, help="Forget what was proved before.")
@click.option("--list", "listing", is_flag=True, help="Only say what there is to prove.")
def main(issue: int, seed: int, minutes: float, only: tuple[str, ...], fresh: bool, listing: bool) -> None:
    """Run the full proofs of ISSUE and write docs/proofs.md."""
    try:
        proofs: list[Proof] = importlib.import_module(f"tests.prove.issue_{issue}").proofs()
    except ModuleNotFoundError as problem:
        if problem.name != f"tests.prove.issue_{issue}":
            raise
        raise click.UsageError(f"issue {issue} has no proofs: there is no tests/prove/issue_{issue}.py") from None
    unknown = set(only) - {proof.name for proof in proofs}
    if unknown:
        raise click.UsageError(f"no proof {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in proofs)}")
    if listing:
        for proof in proofs:
            print(f"{proof.name:<24} {proof.count:>8,}  {proof.claim}")
        return
    kept, deadline = Kept.load(issue, seed, fresh=fresh), time.monotonic() + 60 * minutes
    for proof in proofs:
        if only and proof.name not in only:
            continue
        try:
            complete = prove(proof, seed, kept, deadline)
        except AssertionError as problem:
            console.print(
                f"{proof.name}: {problem}\nagain: python -m tests.prove {issue} --seed {seed} --only {proof.name}"
            )
            sys.exit(1)
        if not complete:
            console.print(f"{proof.name}: time is up; what is proved is kept, the same command goes on")
            sys.exit(3)
        print(f"{proof.name}: {line(proof, seed, kept).figures}")
    if not only:
        write(issue, section(issue, seed, [line(proof, seed, kept) for proof in proofs]))
        print("docs/proofs.md written")


if __name__ == "__main__":
    main()
