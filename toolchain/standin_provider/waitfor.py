"""`pulumi.com/waitFor` expressions: `condition=Type[=Status]` and `jsonpath=Path[=Value]`.

JSONPath is taken in the part that readiness needs: names, `['quoted names']`, indexes, and one-comparison filters
`[?(@.type=="Ready")]`. Anything more (wildcards, slices, recursion, functions) raises Unmodelled.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

from standin_provider.errors import ProviderError, Unmodelled
from standin_provider.wire import Json


class Wait(Protocol):
    def unmet(self, live: Json) -> str:
        """What is still missing, as a phrase; "" when the object satisfies this."""
        ...


@dataclass(frozen=True)
class Name:
    key: str


@dataclass(frozen=True)
class Index:
    position: int


@dataclass(frozen=True)
class Filter:
    keys: tuple[str, ...]
    value: str


Step = Name | Index | Filter


def generation_of(live: Json) -> int:
    return int((live.get("metadata") or {}).get("generation") or 0)


@dataclass(frozen=True)
class ConditionWait:
    type: str
    status: str

    def unmet(self, live: Json) -> str:
        wanted = f"condition {self.type}={self.status}"
        status = live.get("status") or {}
        found = next(
            (c for c in status.get("conditions") or [] if str(c.get("type", "")).lower() == self.type.lower()), None
        )
        if found is None:
            return f"{wanted}: the object has no such condition yet"
        observed = found.get("observedGeneration") or status.get("observedGeneration")
        if observed is not None and int(observed) < generation_of(live):
            return f"{wanted}: it is from generation {observed}, the object is at {generation_of(live)}"
        if str(found.get("status", "")).lower() != self.status.lower():
            because = ": ".join(str(found[k]) for k in ("reason", "message") if found.get(k))
            return f"{wanted}: it is {found.get('status')}" + (f" ({because})" if because else "")
        return ""


@dataclass(frozen=True)
class JsonPathWait:
    text: str
    steps: tuple[Step, ...]
    value: str | None

    def unmet(self, live: Json) -> str:
        wanted = f"{self.text}={self.value}" if self.value is not None else self.text
        observed = (live.get("status") or {}).get("observedGeneration")
        if observed is not None and int(observed) < generation_of(live):
            return f"{wanted}: status is from generation {observed}, the object is at {generation_of(live)}"
        found = select(live, self.steps)
        if not found:
            return f"{wanted}: no such field yet"
        if len(found) > 1:
            raise ProviderError(f"pulumi.com/waitFor: {self.text} matches {len(found)} values; it must match one")
        if self.value is None or as_text(found[0]) == self.value:
            return ""
        return f"{wanted}: it is {as_text(found[0])}"


def parse_wait(text: str) -> Wait:
    kind, separator, rest = text.partition("=")
    if not separator or not rest:
        raise ProviderError(f"pulumi.com/waitFor: {text!r} must be jsonpath=PATH[=VALUE] or condition=TYPE[=STATUS]")
    if kind == "condition":
        name, _, status = rest.partition("=")
        return ConditionWait(name, status or "True")
    if kind == "jsonpath":
        path, value = _split_value(rest.strip().strip("'"))
        return JsonPathWait(path, _parse_path(path), value)
    raise ProviderError(f"pulumi.com/waitFor: {text!r} must start with jsonpath= or condition=")


def _split_value(text: str) -> tuple[str, str | None]:
    depth, quote = 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and depth:
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "=" and depth == 0:
            return text[:position].rstrip("'"), text[position + 1 :].strip("'\"")
    return text, None


_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_][\w-]*)
      | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\?\s*\(?\s*@(?P<keys>(?:\.[A-Za-z_][\w-]*)+)\s*==\s*(?P<q>['"])(?P<value>.*?)(?P=q)\s*\)?\s*\]""",
    re.VERBOSE,
)


def _parse_path(text: str) -> tuple[Step, ...]:
    inner = text.strip()
    if inner.startswith("{") != inner.endswith("}"):
        raise ProviderError(f"pulumi.com/waitFor: unbalanced braces in {text!r}")
    inner = inner.removeprefix("{").removesuffix("}").strip().removeprefix("$")
    if inner and inner[0] not in ".[":
        inner = "." + inner
    steps: list[Step] = []
    position = 0
    while position < len(inner):
        match = _STEP.match(inner, position)
        if match is None:
            raise Unmodelled(f"{inner[position:]!r} in the JSONPath {text!r} of pulumi.com/waitFor")
        steps.append(_step(match))
        position = match.end()
    if not steps:
        raise ProviderError(f"pulumi.com/waitFor: {text!r} names no field")
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["name"] is not None:
        return Name(match["name"])
    if match["quoted"] is not None:
        return Name(match["quoted"])
    if match["index"] is not None:
        return Index(int(match["index"]))
    return Filter(tuple(match["keys"].strip(".").split(".")), match["value"])


def select(value: Any, steps: tuple[Step, ...]) -> list[Any]:
    found = [value]
    for step in steps:
        found = [item for parent in found for item in _descend(parent, step)]
    return found


def _descend(value: Any, step: Step) -> list[Any]:
    if isinstance(step, Name):
        return [value[step.key]] if isinstance(value, dict) and step.key in value else []
    if not isinstance(value, list):
        return []
    if isinstance(step, Index):
        return [value[step.position]] if -len(value) <= step.position < len(value) else []
    names = tuple(Name(key) for key in step.keys)
    return [item for item in value if [as_text(v) for v in select(item, names)] == [step.value]]


def as_text(value: Any) -> str:
    """As Kubernetes prints it: strings bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
