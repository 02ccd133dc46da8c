"""From the model to YAML, through an API server and back into the model: nothing may change on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings

from grove_operator.api.crds import DEFINITIONS, Definition
from grove_operator.api.defaults import schema_defaults
from grove_operator.api.faults import parse
from grove_operator.api.kinds import GROVE_GROUP, SCHEDULER_GROUP, Json
from grove_operator.api.schema import to_json
from grove_operator.api.validation import validate_schema
from grove_operator.kube.client import HttpKubeApi
from tests.support.generated import objects

GROVES = [d for d in DEFINITIONS if d.kind.group in (GROVE_GROUP, SCHEDULER_GROUP)]
DRY = {"dryRun": "All", "fieldValidation": "Strict"}


@dataclass
class Server:
    """An API server that the CRDs are installed on, asked from plain functions."""

    api: HttpKubeApi
    runner: asyncio.Runner

    def stored(self, definition: Definition, obj: Json) -> Json:
        """What the server would store; nothing is."""
        kind, namespace = definition.kind, obj["metadata"].get("namespace")
        return self.runner.run(self.api.raw("POST", kind.path(namespace), body=obj, params=DRY))


def travels_unchanged(server: Server, definition: Definition, obj: Json) -> None:
    """AssertionError where it does not."""
    model, faults = parse(definition.model, obj)
    assert model is not None, faults
    assert faults == []
    text = yaml.safe_dump(to_json(model), sort_keys=False, allow_unicode=True)
    read = yaml.safe_load(text)
    assert read == obj, "model -> YAML -> object"
    stored = server.stored(definition, read)
    assert stored["spec"] == schema_defaults(definition.model, obj)["spec"], "the server fills in what we say it does"
    again, faults = parse(definition.model, stored)
    assert again is not None, faults
    assert faults == []
    assert to_json(again)["spec"] == stored["spec"], "server -> model"
    assert validate_schema(stored) == []


def generated(
    server: Server, start: int, count: int, progress: Callable[[int], None] = lambda _: None
) -> dict[str, int]:
    """`count` generated objects of Grove's kinds, in equal shares, through the server."""
    figures: dict[str, int] = {}
    for definition, share in zip(GROVES, _shares(count, len(GROVES)), strict=True):
        done = _through(server, definition, random.Random(f"{start}/{definition.kind.plural}").getrandbits(32), share)
        figures[definition.kind.plural] = done
        progress(done)
    return figures


def _shares(count: int, parts: int) -> Iterator[int]:
    for i in range(parts):
        yield count // parts + (i < count % parts)


def _through(server: Server, definition: Definition, from_seed: int, count: int) -> int:
    if not count:
        return 0
    seen = [0]

    @seed(from_seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(objects(definition))
    def holds(obj: Any) -> None:
        seen[0] += 1
        travels_unchanged(server, definition, obj)

    holds()
    return seen[0]
