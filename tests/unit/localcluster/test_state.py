import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grove_operator.localcluster.state import (
    ClusterPaths,
    ClusterState,
    ComponentState,
    LocalClusterError,
    ProcessId,
    exclusive,
    load_state,
    project_home,
    read_state,
    save_state,
    write_file,
)

HERE = ProcessId.of(os.getpid())
STATE = ClusterState(
    "local", "ready", HERE, "/k", "https://127.0.0.1:1", nodes=2, components=(ComponentState("etcd", HERE, True),)
)


def test_the_home_is_the_environments_else_the_projects_else_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "deep" / "er").mkdir(parents=True)
    (project / "Pulumi.yaml").write_text("name: x\n")
    monkeypatch.setenv("GROVE_HOME", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(project / "deep" / "er")
    assert project_home() == tmp_path / "chosen"
    monkeypatch.delenv("GROVE_HOME")
    assert project_home() == project / ".grove"
    monkeypatch.chdir(tmp_path)
    assert project_home() == tmp_path / "user" / "grove"


@pytest.mark.parametrize("name", ["", "../up", "Local", "a_b", "-a", "a" * 33, "a/b"])
def test_a_cluster_name_that_would_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(LocalClusterError, match=r"cluster name .* can't be used"):
        ClusterPaths.of(name)


def test_state_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    save_state(ClusterPaths.of("local", tmp_path).state, STATE)
    assert read_state("local", tmp_path) == STATE
    assert read_state("other", tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"components": 3}', json.dumps({"components": [{}]})])
def test_a_file_that_is_no_state_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert load_state(tmp_path / "state.json") is None


def test_a_cluster_runs_only_if_it_is_ready_and_all_its_processes_live() -> None:
    dead = ProcessId(HERE.pid, HERE.started - 1000)
    assert STATE.running
    assert not replace(STATE, phase="starting").running
    assert not replace(STATE, supervisor=dead).running
    assert not replace(STATE, components=(ComponentState("etcd", dead, True),)).running
    assert not replace(STATE, components=(ComponentState("etcd", HERE, False, "sick"),)).running


def test_a_later_process_with_the_same_number_is_not_mistaken_for_the_earlier() -> None:
    assert HERE.is_alive
    assert not ProcessId(HERE.pid, HERE.started - 60).is_alive


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as process:
        zombie = ProcessId.of(process.pid)
        assert process.stdout is not None
        process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not zombie.is_alive


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    write_file(target, "old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_file(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_keys_and_tokens_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    write_file(tmp_path / "secret", "x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_lock_keeps_a_second_holder_out_and_lets_it_in_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock), pytest.raises(LocalClusterError, match="busy"), exclusive(lock, busy="busy"):
        pass
    with exclusive(lock, busy="busy"):
        pass
