"""Recorded decisions: a bug report that is a file, and its replay.

    {"version": 2, "snapshot": ..., "policy": ..., "gangs": [...], "decision": ...}

The text is canonical (sorted keys, one form for every value), so that equal decisions are equal bytes.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from grove_operator.scheduler.model import Decision, Gang, Policy, Snapshot, dump, load
from grove_operator.scheduler.solve import schedule

VERSION = 2


class RecordingError(ValueError):
    """The file is no recording that this version reads."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What the scheduler was asked, and what it answered. `policy` None: the scheduler's own defaults."""

    snapshot: Snapshot
    gangs: tuple[Gang, ...]
    decision: Decision
    policy: Policy | None = None

    def to_text(self) -> str:
        said = {
            "version": VERSION,
            "snapshot": dump(self.snapshot),
            "gangs": [dump(gang) for gang in self.gangs],
            "policy": None if self.policy is None else dump(self.policy),
            "decision": dump(self.decision),
        }
        return canonical(said)

    @classmethod
    def from_text(cls, text: str) -> Recording:
        """Raises RecordingError naming what is wrong."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecordingError(f"not JSON: {error}") from None
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise RecordingError(f"no recording of version {VERSION}; was it written by another release?")
        try:
            return cls(
                snapshot=load(Snapshot, data["snapshot"]),
                gangs=tuple(load(Gang, gang) for gang in data["gangs"]),
                decision=load(Decision, data["decision"]),
                policy=None if data["policy"] is None else load(Policy, data["policy"]),
            )
        except KeyError as error:
            raise RecordingError(f"{error.args[0]} is missing") from None
        except ValidationError as error:
            raise RecordingError(str(error)) from None


Record = Callable[[Recording], None]
"""Where the scheduler's loop hands its decisions to; it must return at once and raise nothing."""


def record(
    recorder: Record | None, snapshot: Snapshot, gangs: Iterable[Gang], policy: Policy | None, decision: Decision
) -> None:
    """Hands the decision over, if anybody wants it."""
    if recorder is not None:
        recorder(Recording(snapshot, tuple(gangs), decision, policy))


def replay(recording: Recording) -> str:
    """'' when the decision comes out again byte for byte, else the difference from the recorded to the new one."""
    again = schedule(recording.snapshot, recording.gangs, recording.policy)
    recorded, now = canonical(dump(recording.decision)), canonical(dump(again))
    if recorded == now:
        return ""
    lines = difflib.unified_diff(recorded.splitlines(), now.splitlines(), "recorded", "replayed", lineterm="", n=2)
    return "\n".join(lines)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=1) + "\n"
