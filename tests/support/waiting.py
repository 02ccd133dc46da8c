"""Waiting for what comes about by itself, in tests that run programs and have no event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(claim: Callable[[], T], what: str, limit_s: float = 120) -> T:
    """The first true answer of `claim`; the limit only bounds a failing test, which then says `what`."""
    deadline = time.monotonic() + limit_s
    while not (answer := claim()):
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.1)
    return answer
