"""Everything that admission and `grove validate` do to an object, done to malformed ones."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from grove_operator.api.config import OperatorConfiguration, parse_config
from grove_operator.api.defaults import default_dynamographdeployment, default_podcliqueset
from grove_operator.api.kinds import POD_CLIQUE_SET, POD_GANG_SET, Json
from grove_operator.api.podgangset_conversion import converted
from grove_operator.api.validation import (
    Fault,
    advise_podcliqueset,
    pruned_fields,
    validate_clustertopologybinding,
    validate_dynamographdeployment,
    validate_podcliqueset,
    validate_schema,
    volcano_queue_of,
)
from grove_operator.cli.validate import Document, as_json, as_text, judge
from grove_operator.kube.webhooks import mentions_topology, refusal
from tests.support.malformed import malformed
from tests.unit.api.manifests import TOPOLOGY, everything, podgangset, quickstart

KNOWN = {"default": TOPOLOGY}
QUEUES: tuple[Mapping[str, Json] | None, ...] = (None, {}, {"default": {"status": {"state": "Open"}}})
CONFIGS: tuple[OperatorConfiguration | None, ...] = (
    None,
    parse_config({}),
    parse_config(
        {
            "scheduler": {"profiles": [{"name": "volcano"}], "defaultProfileName": "volcano"},
            "topologyAwareScheduling": {"enabled": False},
        }
    ),
    parse_config({"scheduler": {"profiles": [{"name": "kai-scheduler"}], "defaultProfileName": "kai-scheduler"}}),
)


@dataclass
class Tally:
    """`valid`: still without fault. `faults`: told in all."""

    cases: int = 0
    valid: int = 0
    faults: int = 0
    reasons: set[str] = field(default_factory=set)

    def add(self, found: list[Fault]) -> None:
        for fault in found:
            assert isinstance(fault, Fault), fault
            assert all(isinstance(part, str) for part in (fault.field, fault.message, fault.remedy)), fault
            assert fault.message, fault
            assert fault.remedy, fault
            self.reasons.add(fault.reason)
        self.cases += 1
        self.valid += not found
        self.faults += len(found)


def fuzz(seed: int, count: int, progress: Callable[[int], None] = lambda _done: None) -> Tally:
    """`count` malformed objects. Raises AssertionError, with the object, for anything but a list of faults."""
    chance, tally = random.Random(seed), Tally()
    for _ in range(count):
        judged, good = chance.choice(_JUDGES)
        obj = malformed(good(), chance)
        try:
            json.dumps(obj)
            judged(obj, good(), chance, tally)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{yaml.safe_dump(obj)}") from error
        progress(1)
    return tally


def _set(obj: Json, good: Json, chance: random.Random, tally: Tally) -> None:
    old = chance.choice((None, good, malformed(good, chance)))
    config, queues = chance.choice(CONFIGS), chance.choice(QUEUES)
    topologies = chance.choice((None, KNOWN))
    for given in (obj, default_podcliqueset(obj), default_podcliqueset(obj, with_schema_defaults=True)):
        found = validate_podcliqueset(given, old, topologies=topologies, config=config, queues=queues)
        refusal(POD_CLIQUE_SET, given, found)
        advise_podcliqueset(given, old, topologies=topologies)
        volcano_queue_of(given, config)
        mentions_topology(given)
    tally.add(found)
    _validated(obj)


def _graph(obj: Json, good: Json, chance: random.Random, tally: Tally) -> None:
    old = chance.choice((None, good, malformed(good, chance)))
    for given in (obj, default_dynamographdeployment(obj, with_schema_defaults=True)):
        found = validate_dynamographdeployment(given, old, topologies=chance.choice((None, KNOWN)))
    tally.add(found)
    _validated(obj)


def _topology(obj: Json, _: Json, chance: random.Random, tally: Tally) -> None:
    tally.add(validate_clustertopologybinding(obj, config=chance.choice(CONFIGS)))
    _validated(obj)


def _former(obj: Json, _: Json, __: random.Random, tally: Tally) -> None:
    found = validate_schema(obj)
    if found == [] and obj["kind"] == POD_GANG_SET.kind:
        made = default_podcliqueset(converted(obj).pod_clique_set, with_schema_defaults=True)
        tally.add(validate_podcliqueset(made))
    else:
        tally.add(found or [])
    _validated(obj)


def _validated(obj: Any) -> None:
    """As `grove validate` does with whatever a file holds."""
    pruned_fields(obj)
    verdicts = judge([Document("-", 1, obj), Document("-", 2, TOPOLOGY)])
    as_text(verdicts)
    as_json(verdicts)


_JUDGES = (
    (_set, everything),
    (_set, everything),
    (_set, everything),
    (_graph, quickstart),
    (_topology, lambda: TOPOLOGY),
    (_former, podgangset),
)
