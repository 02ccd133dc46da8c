"""The official provider's recorded traffic, and what must be taken out before two answers can be compared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "data" / "official-provider"
STEPS = tuple(path.name for path in sorted(FOLDER.glob("*.jsonl")))
VARIABLE = {"uid", "resourceVersion", "creationTimestamp", "time", "lastTransitionTime", "clusterIP", "clusterIPs"}
MANAGER = re.compile(r"pulumi-kubernetes-[0-9a-f]{8}")
AUTONAME = re.compile(r"\bauto-[0-9a-f]{8}\b")


@dataclass(frozen=True)
class Exchange:
    method: str
    request: dict[str, Any]
    response: dict[str, Any] | None

    @property
    def name(self) -> str:
        return str(self.request.get("name", ""))


def exchanges(step: str) -> list[Exchange]:
    """The finished calls of one step, in the order in which they were answered."""
    lines = [json.loads(line) for line in (FOLDER / step).read_text().splitlines()]
    done = [line for line in lines if line["progress"] == "response_completed"]
    return [Exchange(line["method"].rpartition("/")[2], line["request"], line.get("response")) for line in done]


def comparable(value: Any) -> Any:
    """Without UIDs, versions, times, addresses and random names."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in VARIABLE}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str):
        return AUTONAME.sub("auto-<random>", MANAGER.sub("pulumi-kubernetes-<random>", value))
    return value
