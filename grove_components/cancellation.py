"""A program that the engine cancels ends without a traceback: what went wrong has already been said.

When a resource fails, the engine interrupts the program that still waits for others. Python would print a
KeyboardInterrupt traceback below the one clear error.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

LANGUAGE_HOST = "pulumi-language-python-exec"
ALREADY_TOLD = 32
"""Exit code by which a program tells Pulumi's language host that the user has been told."""


def is_run_by_the_language_host(arguments: Sequence[str]) -> bool:
    """False for inline programs, tests and imports: their process is somebody else's."""
    return any(Path(argument).name == LANGUAGE_HOST for argument in arguments)


def end_quietly_when_cancelled() -> None:
    """Only in a process of Pulumi's language host; a no-op elsewhere."""
    if is_run_by_the_language_host(sys.orig_argv):
        signal.signal(signal.SIGINT, lambda *_: os._exit(ALREADY_TOLD))
