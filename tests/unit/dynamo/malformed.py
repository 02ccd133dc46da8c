"""Real-world graphs with something wrong in them, by seed."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from grove_operator.api.kinds import Json
from tests.golden.dynamo.story import STORIES, graph

JUNK: tuple[Any, ...] = (
    None,
    "",
    " ",
    "Üm läut",
    "a" * 70,
    "-x",
    "UPPER",
    "8.5",
    "12Gi",
    0,
    -1,
    3,
    2**40,
    1.5,
    True,
    [],
    {},
    [None],
    ["x"],
    {"x": None},
    {"name": ""},
    [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
)
KEYS = ("x", "replicas", "multinode", "name", "", "Frontend", "a b", "scalingAdapter", "componentType", "annotations")


def malformed(seed: int) -> tuple[str, Json]:
    """A story's graph after one to four random changes, and the story's name. Some of them happen to be harmless."""
    rnd = Random(seed)
    story = rnd.choice(STORIES)
    obj = copy.deepcopy(graph(story))
    for _ in range(rnd.randint(1, 4)):
        _change(obj, rnd)
    return story, obj


def _change(obj: Json, rnd: Random) -> None:
    """Replaces, drops, adds or doubles something at a random place below metadata or spec."""
    part: Any = obj[rnd.choice(("spec", "spec", "spec", "metadata"))] if isinstance(obj.get("spec"), dict) else obj
    depth = rnd.randint(0, 7)
    while depth and isinstance(part, dict | list) and part:
        inner = list(part.values()) if isinstance(part, dict) else part
        containers = [value for value in inner if isinstance(value, dict | list) and value]
        if not containers:
            break
        part, depth = rnd.choice(containers), depth - 1
    if isinstance(part, dict):
        _change_mapping(part, rnd)
    elif isinstance(part, list):
        _change_list(part, rnd)


def _change_mapping(part: Json, rnd: Random) -> None:
    how = rnd.random()
    if part and how < 0.45:
        part[rnd.choice(sorted(part, key=str))] = copy.deepcopy(rnd.choice(JUNK))
    elif part and how < 0.65:
        del part[rnd.choice(sorted(part, key=str))]
    elif part and how < 0.75:
        key = rnd.choice(sorted(part, key=str))
        part[f"{key}{rnd.choice(('s', '-', 'X', key))}"] = part.pop(key)
    else:
        part[rnd.choice(KEYS)] = copy.deepcopy(rnd.choice(JUNK))


def _change_list(part: list[Any], rnd: Random) -> None:
    if part and rnd.random() < 0.5:
        part.append(copy.deepcopy(rnd.choice(part)))
    elif part and rnd.random() < 0.5:
        part[rnd.randrange(len(part))] = copy.deepcopy(rnd.choice(JUNK))
    else:
        part.append(copy.deepcopy(rnd.choice(JUNK)))
