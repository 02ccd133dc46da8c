"""How the tool chain tells what it is doing: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Step(Protocol):
    def update(self, done: int, total: int | None = None) -> None: ...


class Report(Protocol):
    def say(self, text: str) -> None: ...

    def step(self, title: str, unit: str) -> AbstractContextManager[Step]: ...


class PlainReport:
    """A line when a step starts and ends, and at most one every `every_s` seconds between."""

    def __init__(self, out: TextIO | None = None, every_s: float = 20.0) -> None:
        self._out = out or sys.stderr
        self._every_s = every_s

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    @contextmanager
    def step(self, title: str, unit: str) -> Iterator[Step]:
        started = time.monotonic()
        self.say(f"{title} ...")
        yield _PlainStep(self, title, unit, self._every_s)
        self.say(f"{title}: done in {time.monotonic() - started:.0f} s")


class _PlainStep:
    def __init__(self, report: PlainReport, title: str, unit: str, every_s: float) -> None:
        self._report, self._title, self._unit, self._every_s = report, title, unit, every_s
        self._last = time.monotonic()

    def update(self, done: int, total: int | None = None) -> None:
        if time.monotonic() - self._last >= self._every_s:
            self._last = time.monotonic()
            self._report.say(f"{self._title}: {done}{f' of {total}' if total else ''} {self._unit}")


class RichReport:
    """A live progress bar for each step, gone when it ends, and a line that stays."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    @contextmanager
    def step(self, title: str, unit: str) -> Iterator[Step]:
        started = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as progress:
            yield _RichStep(progress, title)
        self.say(f"{title}: done in {time.monotonic() - started:.0f} s")


class _RichStep:
    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)

    def update(self, done: int, total: int | None = None) -> None:
        self._progress.update(self._task, completed=done, total=total)


class SilentReport:
    def say(self, text: str) -> None:
        pass

    @contextmanager
    def step(self, title: str, unit: str) -> Iterator[Step]:
        yield _SilentStep()


class _SilentStep:
    def update(self, done: int, total: int | None = None) -> None:
        pass


def default_report() -> Report:
    return RichReport() if sys.stderr.isatty() else PlainReport()
