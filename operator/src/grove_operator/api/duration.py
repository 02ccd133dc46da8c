"""Durations as Go and Kubernetes write them: `4h`, `1h30m`, `1.5s`, `250ms`, `0`."""

from __future__ import annotations

import re

DURATION_PATTERN = r"^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*)$"  # noqa: E501
_WHOLE = re.compile(DURATION_PATTERN)
_PART = re.compile(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(text: str) -> float:
    """Seconds of a duration; negative ones are legal here, callers refuse them where they make no sense.

    Raises ValueError for anything Go's time.ParseDuration refuses.
    """
    if not _WHOLE.match(text):
        raise ValueError(f"{text!r} is not a duration; write it like 4h, 1h30m or 90s")
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))
