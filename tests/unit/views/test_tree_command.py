"""`grove tree` without a cluster says so in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from grove_operator.cli.main import cli


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GROVE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.mark.usefixtures("nowhere")
def test_no_cluster_is_one_clear_error_with_the_remedy() -> None:
    result = CliRunner().invoke(cli, ["tree"])
    assert result.exit_code == 1
    assert "no cluster" in result.output
    assert "grove up" in result.output
    assert len(result.output.strip().splitlines()) == 1
