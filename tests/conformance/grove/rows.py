"""The form of the tables: what is submitted, over what, and which fields it is refused for."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from grove_operator.api.config import OperatorConfiguration, parse_config
from grove_operator.api.kinds import Json
from tests.unit.api.manifests import TOPOLOGY, changed

CONFIG: OperatorConfiguration = parse_config({})
"""Of the installed operator: topologies on, NVLink domains off, the schedulers grove, kai and default."""
TOPOLOGIES = {"default": TOPOLOGY}
ABSENT = object()


@dataclass(frozen=True)
class Row:
    """`faults` are all of them, as "field Reason". `old` makes it an update. `by_server` False: no server can be asked,
    because it fills in what is missing here, or could never have stored `old`, or is configured otherwise.

    `at_server`: the field that the server names, where its schema is asked before the webhooks and names another.
    """

    section: str
    rule: str
    obj: Json
    faults: tuple[str, ...]
    old: Json | None = None
    by_server: bool = True
    config: OperatorConfiguration = field(default_factory=lambda: CONFIG)
    at_server: str = ""

    def __str__(self) -> str:
        return f"{self.section} {self.rule}"

    @property
    def named(self) -> tuple[str, ...]:
        """Fields that the server's refusal has to name."""
        return (self.at_server,) if self.at_server else tuple(fault.rsplit(" ", 1)[0] for fault in self.faults)


def bent(manifest: Json, *changes: tuple[str, Any]) -> Json:
    """A copy with fields set, or taken away where the value is ABSENT."""
    out = copy.deepcopy(manifest)
    for place, value in changes:
        if value is ABSENT:
            *parents, last = place.split(".")
            here: Any = out
            for part in parents:
                here = here[int(part)] if part.isdigit() else here[part]
            if isinstance(here, list):
                del here[int(last)]
            else:
                here.pop(last, None)
        else:
            out = changed(out, place, value)
    return out
