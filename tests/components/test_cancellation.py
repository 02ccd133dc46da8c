"""A cancelled program says nothing more, and only where Pulumi's language host runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from grove_components import cancellation
from grove_components.cancellation import ALREADY_TOLD

WAITING = """
import runpy, signal, sys
end_quietly_when_cancelled = runpy.run_path(sys.argv[1])["end_quietly_when_cancelled"]
signal.signal(signal.SIGINT, signal.default_int_handler)
end_quietly_when_cancelled()
print("waiting", flush=True)
sys.stdin.read()
"""


def interrupted(script: Path) -> tuple[int, str]:
    """Exit code and standard error of a program that was sent SIGINT while it waited; only the one module is loaded."""
    script.write_text(WAITING)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, str(script), cancellation.__file__], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "waiting\n"
        program.send_signal(signal.SIGINT)
        _, said = program.communicate()
        return program.returncode, said


def test_under_the_language_host_there_is_no_traceback(tmp_path: Path) -> None:
    assert interrupted(tmp_path / "pulumi-language-python-exec") == (ALREADY_TOLD, "")


def test_elsewhere_an_interrupt_is_what_it_always_is(tmp_path: Path) -> None:
    code, said = interrupted(tmp_path / "program.py")
    assert code != ALREADY_TOLD
    assert "KeyboardInterrupt" in said
