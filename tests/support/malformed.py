"""Malformed objects, drawn from a seed: good manifests with some of their parts replaced, dropped, doubled or moved.

What comes out is JSON as an API server or a YAML file could hand it over: any type may stand anywhere.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from grove_operator.api.kinds import Json

WORDS = (
    "", " ", "a", "-", "web", "leader", "A b", "ü" * 70, "\x00", "x" * 300, "0", "4h", "-1s", "1e400", "none", "true",
    "grove.io/mnnvl-group", "kai.scheduler/queue", "a/b/c", "default", "rack", "CliqueStartupTypeExplicit", "${x}",
    "volcano", "kai-scheduler", "lpx-scheduler", "../..", "\n", "\U0001f600",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 45, 2**31, -(2**31) - 1, 2**63, 10**30, 0.5, -0.0, 1e308)
KEYS = (
    "name", "spec", "replicas", "minAvailable", "topologyConstraint", "pack", "packDomain", "podSpec", "containers",
    "env", "labels", "annotations", "metadata", "startsAfter", "filter", "resourceSharing", "rollingUpdate", "status",
    "schedulerName", "deletionTimestamp", "cliqueNames", "scaleConfig", "topologyKey", "x", "",
)  # fmt: skip


def malformed(good: Json, chance: random.Random) -> Json:
    """A copy of `good` with one to six faults in it; sometimes they happen to leave it valid.

    Every other time each value keeps its type, so that the rules behind the schema have something to judge.
    """
    out = {"root": copy.deepcopy(good)}
    mutations = chance.choice((_ANY, _SAME_TYPE))
    for _ in range(chance.randint(1, 6)):
        places = list(_places(out))
        parent, key = chance.choice(places)
        chance.choice(mutations)(parent, key, chance, places)
    root = out.get("root")
    return root if isinstance(root, dict) else {"spec": root}


def junk(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = chance.randrange(5 if depth > 2 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return chance.choice((True, False))
    if kind in (2, 3):
        return chance.choice(NUMBERS)
    if kind == 4:
        return chance.choice(WORDS)
    if kind == 5:
        return [junk(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(KEYS): junk(chance, depth + 1) for _ in range(chance.randrange(4))}


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in list(items):
        yield node, key
        yield from _places(child)


def _replace(parent: Any, key: Any, chance: random.Random, _: Any) -> None:
    parent[key] = junk(chance)


def _vary(parent: Any, key: Any, chance: random.Random, _: Any) -> None:
    value = parent[key]
    if isinstance(value, str):
        parent[key] = chance.choice(WORDS)
    elif isinstance(value, bool):
        parent[key] = not value
    elif isinstance(value, int):
        parent[key] = chance.choice((-1, 0, 1, 2, 3, 46, 2**31 - 1))
    elif isinstance(value, list):
        chance.shuffle(value)


def _drop(parent: Any, key: Any, _: random.Random, __: Any) -> None:
    if key != "root":
        del parent[key]


def _double(parent: Any, key: Any, _: random.Random, __: Any) -> None:
    if isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    else:
        parent[f"{key}s"] = copy.deepcopy(parent[key])


def _add(parent: Any, key: Any, chance: random.Random, _: Any) -> None:
    target = parent[key]
    if isinstance(target, dict):
        target[chance.choice(KEYS)] = junk(chance)
    elif isinstance(target, list):
        target.insert(chance.randint(0, len(target)), junk(chance))
    else:
        parent[key] = chance.choice(WORDS)


def _move(parent: Any, key: Any, chance: random.Random, places: list[tuple[Any, Any]]) -> None:
    other, at = chance.choice(places)
    parent[key] = copy.deepcopy(other[at]) if at in other or (isinstance(other, list) and at < len(other)) else None


_ANY = (_replace, _replace, _drop, _double, _add, _move)
_SAME_TYPE = (_vary, _vary, _vary, _double)
