"""Building and installing, with a `go` that is a script: it counts its runs and writes what it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grove_operator.localcluster.tools import ToolError, obtain
from grove_operator.localcluster.tools_archive import Archives
from grove_operator.localcluster.tools_pins import PROGRAMS
from grove_operator.localcluster.tools_report import PlainReport, SilentReport

REAL_PYTHON = sys.executable
GO = """#!/bin/sh
case "$1 $2" in
"list -deps") printf 'a\\nb\\n' ;;
"list -m") echo "$FAKE_SOURCE" ;;
build*)
  echo run >> "$FAKE_RUNS"
  echo "$CGO_ENABLED $GOFLAGS $*" >> "$FAKE_RUNS.args"
  test -z "$FAKE_FAILURE" || { echo "$FAKE_FAILURE" >&2; exit 1; }
  echo a >&2
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\n' > "$2"
  /bin/sleep 0.2
  printf 'echo etcd Version: 3.6.16\\n' >> "$2"
  /bin/chmod 755 "$2" ;;
esac
"""
RUN = (
    "from grove_operator.localcluster.tools import locate;"
    "from grove_operator.localcluster.tools_report import SilentReport;"
    "print(locate('etcd', offline=True, report=SilentReport()))"
)


@pytest.fixture
def runs(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setenv("FAKE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def build(name: str) -> Path:
    return obtain(name, report=SilentReport(), archives=Archives(Path("/nonexistent"), "")).path


def test_a_missing_program_is_built_without_cgo_from_the_pinned_module_with_its_version(
    cache: Path, runs: Path
) -> None:
    path = build("kube-scheduler")
    assert path == cache / "kube-scheduler" / PROGRAMS["kube-scheduler"].version / "kube-scheduler"
    asked = Path(f"{runs}.args").read_text()
    assert asked.startswith("0 -mod=readonly build ")
    assert "k8s.io/component-base/version.gitVersion=v1.36.3" in asked
    assert asked.rstrip().endswith("k8s.io/kubernetes/cmd/kube-scheduler")


def test_scripts_of_the_module_are_put_beside_the_program(
    cache: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for script in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        (tmp_path / "sdk" / script).parent.mkdir(parents=True)
        (tmp_path / "sdk" / script).write_text("#!/bin/sh\n")
    monkeypatch.setenv("FAKE_SOURCE", str(tmp_path / "sdk"))
    path = build("pulumi-language-python")
    beside = {file.name for file in path.parent.iterdir() if os.access(file, os.X_OK)}
    assert beside == {"pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"}


def test_a_failed_build_shows_what_go_said_and_installs_nothing(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAILURE", "main.go:7: undefined: etcdmain")
    with pytest.raises(ToolError, match=r"main\.go:7: undefined: etcdmain"):
        build("etcd")
    assert not list((cache / "etcd").iterdir())


def test_an_installation_without_its_program_is_made_anew(cache: Path, runs: Path) -> None:
    (cache / "etcd" / PROGRAMS["etcd"].version).mkdir(parents=True)
    assert build("etcd").is_file()


def test_two_runs_at_once_build_once_and_both_get_the_whole_program(cache: Path, runs: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    both = [
        subprocess.Popen([REAL_PYTHON, "-c", RUN], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [process.communicate()[0].strip() for process in both]
    assert answers[0] == answers[1]
    assert Path(answers[0]).read_text() == "#!/bin/sh\necho etcd Version: 3.6.16\n"
    assert runs.read_text() == "run\n"


def test_plain_progress_tells_begin_and_end_in_lines(
    cache: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    obtain("etcd", report=PlainReport(), archives=Archives(Path("/nonexistent"), ""))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "building etcd 3.6.16 ..."
    assert lines[-1].startswith("building etcd 3.6.16: done in ")
