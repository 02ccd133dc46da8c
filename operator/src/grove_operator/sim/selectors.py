"""Label and field selectors in Kubernetes' own text form, as a simulated API server must read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from grove_operator.api.kinds import Json

Test = Callable[[Json], bool]
_SET = re.compile(r"^(?P<key>[^\s!=]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=]+)\s*(?P<op>==|=|!=)\s*(?P<value>\S*)$")


def label_test(selector: str) -> Test:
    """A test of objects against e.g. `a=b,c!=d,e in (f,g),h,!i`. ValueError when it can't be read."""
    tests = [_label_term(term.strip()) for term in _terms(selector)]
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def field_test(selector: str) -> Test:
    """A test against e.g. `spec.nodeName=n1,status.phase!=Running`; a missing field reads as the empty string."""
    tests: list[Test] = []
    for term in _terms(selector):
        match = _EQUAL.match(term.strip())
        if not match:
            raise ValueError(f"field selector {term!r}: write it as path=value or path!=value")
        tests.append(_field_term(match["key"], match["op"], match["value"]))
    return lambda obj: all(test(obj) for test in tests)


def _terms(selector: str) -> list[str]:
    return [term for term in re.split(r",(?![^(]*\))", selector) if term.strip()]


def _field_term(path: str, op: str, value: str) -> Test:
    def test(obj: Json) -> bool:
        found: Any = obj
        for part in path.split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
        return (str(found) == value) is (op != "!=")

    return test


def _label_term(term: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(term):
        key, values = match["key"], {v.strip() for v in match["values"].split(",")}
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(term):
        key, value, equal = match["key"], match["value"], match["op"] != "!="
        return lambda labels: (labels.get(key) == value) is equal
    if re.fullmatch(r"![^\s!=]+", term):
        return lambda labels: term[1:] not in labels
    if re.fullmatch(r"[^\s!=()]+", term):
        return lambda labels: term in labels
    raise ValueError(f"label selector {term!r}: not one of k=v, k!=v, k in (..), k notin (..), k, !k")
