"""Plays the stories on the simulated API server. `python -m tests.golden.record [STORY...]` records their graphs."""

from __future__ import annotations

import asyncio
import sys

from grove_operator.api.kinds import BY_KIND, Json
from tests.golden.graph import KINDS, STORIES, STORIES_FOLDER, expectation, faults, inputs, normal, settings_of, shown
from tests.sim.world import world


async def play(story: str) -> list[Json]:
    """Everything that exists at rest, after half a minute."""
    async with world(settings_of(story)) as w:
        for document in inputs(story):
            kind = BY_KIND[document["kind"]]
            await w.api.create(kind, document["metadata"].get("namespace"), document)
        await w.rest()
        before = w.writes_of("operator")
        await w.rest(60.0)
        assert w.writes_of("operator") == before, "written at rest"
        return [obj for kind in KINDS for obj in w.api.objects(kind)]


def main() -> None:
    for story in sys.argv[1:] or STORIES:
        graph = normal(asyncio.run(play(story)))
        for fault in faults(expectation(story), graph):
            print(f"{story}: {fault}")
        (STORIES_FOLDER / story / "graph.yaml").write_text(shown(graph))


if __name__ == "__main__":
    main()
