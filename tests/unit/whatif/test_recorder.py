"""Recorded decisions on disk: opt-in, bounded, and never in the scheduler's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from grove_operator.engine.recording import Recording, replay
from grove_operator.kube.recorder import DIRECTORY_ENV, DecisionRecorder, recorder_from_environment
from grove_operator.scheduler.solve import schedule
from grove_operator.sim.clock import SimClock
from tests.unit.scheduler.notation import cluster, gang


def recording() -> Recording:
    snapshot, gangs = cluster("rack", "a:1[r1] b:2[r2]"), (gang("A:2x1", root="R=rack"),)
    return Recording(snapshot, gangs, schedule(snapshot, gangs))


def test_nothing_is_recorded_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DIRECTORY_ENV, raising=False)
    assert recorder_from_environment(SimClock()) is None
    monkeypatch.setenv(DIRECTORY_ENV, str(tmp_path))
    assert isinstance(recorder_from_environment(SimClock()), DecisionRecorder)


def test_a_file_replays_to_the_same_decision_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    recorder = DecisionRecorder(tmp_path / "new" / "folder", SimClock(), kept=3)
    for _ in range(5):
        recorder(recording())
    recorder.close()
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert [f.name.rsplit("-", 1)[1] for f in files] == ["000003.json", "000004.json", "000005.json"]
    back = Recording.from_text(files[0].read_text())
    assert back == recording()
    assert replay(back) == ""


def test_a_directory_that_cannot_be_written_costs_a_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = DecisionRecorder(tmp_path / "file", SimClock())
    recorder(recording())
    recorder.close()
    assert "decision not recorded" in caplog.text
