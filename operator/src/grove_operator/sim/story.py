"""A story: workloads, what is done to them, and how bad the world is meanwhile.

name: disaggregated                    what it is called in traces
minutes: 10                            virtual; the last part is quiet, so that everything can come to rest
fleet: {blocks: 2, racks: 2, hosts: 2, gpus: 8}
workloads: [PodCliqueSet, ...]         applied at the start
script:                                steps at fixed seconds
  - {at: 30, do: scale-group, to: 3, of: web-0-decode}
every_s: 20                            and drawn ones, by weight
chances: {scale-group: 3, update: 2, lose-node: 1, kill-operator: 1}
start_s: [1, 4]                        how long pods take to become Ready,
end_s: [0.1, 1]                        to be gone once they are deleted,
gc_s: [0.01, 1]                        and to be deleted once their owner is gone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.sim.kubelets import Fleet

QUIET_MINUTES = 4.0
FIELDS = {"name", "minutes", "fleet", "workloads", "script", "every_s", "chances", "start_s", "end_s", "gc_s"}


class StoryError(ValueError):
    """A story that can't be played; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Step:
    """`do` at `at` seconds; `of` names an object and `to` is a number or a text, where the step has them."""

    at: float
    do: str
    of: str = ""
    to: Any = None


@dataclass(frozen=True)
class Story:
    name: str
    workloads: tuple[Json, ...]
    minutes: float = 10.0
    fleet: Fleet = field(default_factory=Fleet)
    script: tuple[Step, ...] = ()
    every_s: float = 20.0
    chances: Mapping[str, float] = field(default_factory=dict)
    start_s: tuple[float, float] = (1.0, 4.0)
    end_s: tuple[float, float] = (0.1, 1.0)
    gc_s: tuple[float, float] = (0.01, 1.0)

    @staticmethod
    def read(path: Path) -> Story:
        """Raises StoryError with the file's name in its text."""
        try:
            return Story.of(yaml.safe_load(path.read_text()))
        except (OSError, yaml.YAMLError, StoryError) as error:
            raise StoryError(f"{path}: {error}") from error

    @staticmethod
    def of(said: Any) -> Story:
        if not isinstance(said, dict) or not said.get("workloads"):
            raise StoryError("a story is a mapping with `workloads`, a list of PodCliqueSets")
        if unknown := sorted(set(said) - FIELDS):
            raise StoryError(f"unknown fields {', '.join(unknown)}; known are {', '.join(sorted(FIELDS))}")
        return Story(
            name=str(said.get("name", "story")),
            workloads=tuple(_workload(obj) for obj in said["workloads"]),
            minutes=float(said.get("minutes", 10)),
            fleet=Fleet(**said.get("fleet", {})),
            script=tuple(_step(entry) for entry in said.get("script") or ()),
            every_s=float(said.get("every_s", 20)),
            chances=dict(said.get("chances") or {}),
            start_s=tuple(said.get("start_s", (1.0, 4.0))),
            end_s=tuple(said.get("end_s", (0.1, 1.0))),
            gc_s=tuple(said.get("gc_s", (0.01, 1.0))),
        )


def _workload(obj: Any) -> Json:
    if not isinstance(obj, dict) or obj.get("kind") != POD_CLIQUE_SET.kind:
        raise StoryError(f"workloads are PodCliqueSets, not {obj.get('kind') if isinstance(obj, dict) else obj!r}")
    filled: Json = default_podcliqueset(obj, with_schema_defaults=True)
    filled["metadata"].setdefault("namespace", "default")
    return filled


def _step(entry: Any) -> Step:
    try:
        return Step(float(entry["at"]), str(entry["do"]), str(entry.get("of", "")), entry.get("to"))
    except (KeyError, TypeError, ValueError) as error:
        raise StoryError(f"step {entry!r}: write it as {{at: SECONDS, do: WHAT}}") from error
