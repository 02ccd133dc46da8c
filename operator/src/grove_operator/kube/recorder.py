"""Writes recorded decisions to a directory, the newest few hundred, in a thread of its own."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grove_operator.engine.ports import Clock
from grove_operator.engine.recording import Recording

log = logging.getLogger(__name__)

DIRECTORY_ENV = "GROVE_RECORD_DECISIONS"
KEPT = 200
WAITING = 32


class DecisionRecorder:
    """Call it with a recording: it returns at once. A directory that can't be written costs a log line, no decision.

    When more than WAITING recordings wait to be written, the newest is dropped and counted in `dropped`.
    """

    def __init__(self, directory: Path, clock: Clock, *, kept: int = KEPT) -> None:
        self._directory, self._clock, self._kept = directory, clock, kept
        self._written = self._waiting = 0
        self.dropped = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")

    def __call__(self, recording: Recording) -> None:
        if self._waiting >= WAITING:
            self.dropped += 1
            return
        self._waiting += 1
        self._written += 1
        name = f"decision-{self._clock.now():%Y%m%dT%H%M%S}-{os.getpid()}-{self._written:06d}.json"
        self._thread.submit(self._write, name, recording)

    def close(self) -> None:
        """Returns when all recordings are written."""
        self._thread.shutdown()

    def _write(self, name: str, recording: Recording) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            half = self._directory / f".{name}"
            half.write_text(recording.to_text(), encoding="utf-8")
            half.rename(self._directory / name)
            for old in sorted(self._directory.glob("decision-*.json"))[: -self._kept]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("decision not recorded: %s: %s", error.filename or self._directory, error.strerror)
        finally:
            self._waiting -= 1


def recorder_from_environment(clock: Clock) -> DecisionRecorder | None:
    """Opt-in: a recorder when $GROVE_RECORD_DECISIONS names a directory."""
    directory = os.environ.get(DIRECTORY_ENV, "")
    return DecisionRecorder(Path(directory), clock) if directory else None
