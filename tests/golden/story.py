"""The golden files: everything that exists at rest after one manifest was applied, as YAML.

Regenerate them with `python -m tests.golden.story` from the project's root, and read the diff.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml

from grove_operator.api.kinds import ALL_KINDS, EVENT, POD, Json
from tests.sim.world import load, world

FILES = Path(__file__).parent
STORIES = ("quickstart", "worked-example")
SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "generation")


async def render(story: str) -> str:
    """The object graph of a story; pod names are shown as <podclique>-<index>, since their last part hashes a UID."""
    async with world() as w:
        await w.apply(load(f"{story}.yaml"))
        await w.rest()
        objects = [obj for kind in ALL_KINDS if kind is not EVENT for obj in w.api.objects(kind)]
    names = {pod["metadata"]["name"]: pod["spec"]["hostname"] for pod in objects if pod["kind"] == POD.kind}
    shown = sorted((_shown(obj, names) for obj in objects), key=lambda obj: (obj["kind"], obj["metadata"]["name"]))
    return yaml.safe_dump_all(shown, sort_keys=True, width=120)


def _shown(obj: Json, names: dict[str, str]) -> Json:
    meta = {k: v for k, v in obj["metadata"].items() if k not in SERVER_SET}
    for reference in meta.get("ownerReferences", []):
        reference["uid"] = f"<uid of {reference['name']}>"
    result: Json = _renamed({**obj, "metadata": meta}, names)
    for group in result["spec"].get("podgroups", []) if result["kind"] == "PodGang" else []:
        group["podReferences"].sort(key=lambda reference: str(reference["name"]))
    return result


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value


def main() -> None:
    for story in STORIES:
        (FILES / f"{story}.yaml").write_text(asyncio.run(render(story)))


if __name__ == "__main__":
    main()
