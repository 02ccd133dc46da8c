"""A fault: what is wrong with one field of a manifest, and what to do about it.

Reasons are Kubernetes' own words for field errors, so that a client sees here what a Go webhook would have said.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from grove_operator.api.kinds import Json
from grove_operator.api.structural import schema_of

Reason = Literal["Required", "Invalid", "Forbidden", "Duplicate", "NotFound", "NotSupported"]


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    field: str
    """Path of the field, as `spec.template.cliques[0].spec.replicas`."""
    reason: Reason
    message: str
    """The fact."""
    remedy: str
    """What to change."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}; {self.remedy}"


@dataclass(frozen=True, slots=True, order=True)
class Advice:
    """Something that is allowed and probably not what was meant."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ManifestError(ValueError):
    """A manifest has faults; the message lists them, one a line."""

    def __init__(self, faults: Sequence[Fault]):
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def path(*parts: str | int) -> str:
    """Join field names and indices: `path("spec", "levels", 0, "key")` is `spec.levels[0].key`."""
    out = ""
    for part in parts:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], obj: Mapping[str, Any]) -> tuple[M | None, list[Fault]]:
    """Read a manifest and tell all its schema faults.

    Unknown fields alone don't hide the rest: the model is then what the manifest says without them. It is None when
    a known field is missing or has the wrong type.
    """
    try:
        return model.model_validate(obj), []
    except ValidationError as error:
        problems = error.errors(include_url=False)
    faults = [_fault(model, problem) for problem in problems]
    unknown = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    if len(unknown) < len(problems):
        return None, faults
    return model.model_validate(_without(obj, unknown)), faults


def _fault(model: type[BaseModel], problem: ErrorDetails) -> Fault:
    where = path(*problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return Fault(where, "Invalid", "unknown field", _unknown_remedy(model, problem["loc"]))
        case "missing":
            return Fault(where, "Required", "is missing", "set it")
        case "literal_error":
            expected = problem["ctx"]["expected"]
            return Fault(where, "NotSupported", f"{problem['input']!r} is not supported", f"use one of {expected}")
        case "string_type" if isinstance(problem["input"], int | float):
            said = str(problem["input"]).lower()
            return Fault(where, "Invalid", f"must be a string, not {said}", f'write "{said}" in quotes')
        case "value_error":
            fact, _, remedy = problem["msg"].removeprefix("Value error, ").partition("; ")
            return Fault(where, "Invalid", fact, remedy or "correct it")
    fact = problem["msg"][0].lower() + problem["msg"][1:]
    return Fault(where, "Invalid", f"{fact} (got {shown(problem['input'])})", "correct it")


def one_of(names: Iterable[str], most: int = 20) -> str:
    """The remedy that lists what there is, at most so many of it: a list that nobody reads helps nobody."""
    listed = list(itertools.islice(names, most + 1))
    return f"use one of {', '.join(listed[:most])}{', ...' if len(listed) > most else ''}"


def shown(value: object) -> str:
    """A value as a message can hold it: at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown_remedy(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    known = _known_fields(schema_of(model), loc[:-1])
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(loc[-1]).lower(), lowered, n=1, cutoff=0.7)
    if close:
        return f"did you mean {lowered[close[0]]}?"
    return f"remove it; known here: {', '.join(sorted(known))}"


def _known_fields(schema: Json, loc: Iterable[str | int]) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part) or schema.get("additionalProperties", {})
    return list(schema.get("properties", {}))


def _without(obj: Any, locs: Iterable[Sequence[str | int]]) -> Any:
    """A copy that lacks the fields at these places."""
    here = {loc[0] for loc in locs if len(loc) == 1}
    below: dict[str | int, list[Sequence[str | int]]] = {}
    for loc in locs:
        if len(loc) > 1:
            below.setdefault(loc[0], []).append(loc[1:])
    if isinstance(obj, Mapping):
        return {k: _without(v, below[k]) if k in below else v for k, v in obj.items() if k not in here}
    if isinstance(obj, list):
        return [_without(v, below[i]) if i in below else v for i, v in enumerate(obj)]
    return obj
