"""What a failed container leaves behind is as much of its log as a kubelet takes."""

from __future__ import annotations

from pathlib import Path

from grove_operator.localcluster.agent.container import LAST_WORDS_BYTES, _last_words


def test_the_end_of_a_long_log_is_taken(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))
    lines = _last_words(log)["message"].splitlines()
    assert lines[-1] == "line 9999"
    assert len(lines) == 80
    log.write_text("x" * 5000)
    assert len(_last_words(log)["message"]) == LAST_WORDS_BYTES


def test_where_nothing_was_said_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    assert _last_words(tmp_path / "log") == {}
    assert _last_words(tmp_path / "missing") == {}
    (tmp_path / "log").write_bytes(b"\xff broken\n")
    assert _last_words(tmp_path / "log") == {"message": "\ufffd broken"}
