"""Real child processes, small ones: none may outlive its supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from grove_operator.localcluster.controlplane import Component, Probe, free_ports
from grove_operator.localcluster.state import LocalClusterError
from grove_operator.localcluster.supervisor_children import Children, end_marked

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); {SLEEP}"


def python(name: str, code: str, grace_s: float = 5.0, probe: Probe | None = None) -> Component:
    return Component(name, (sys.executable, "-S", "-c", code), probe, grace_s)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    children = Children(tmp_path, tmp_path / "logs")
    yield children
    children.stop()


def test_a_child_without_a_probe_is_well_while_it_lives(children: Children) -> None:
    child = children.start(python("one", SLEEP))
    children.wait_until_well(child)
    assert [(state.name, state.healthy) for state in children.states()] == [("one", True)]
    assert not children.any_newly_dead()
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()
    assert children.any_newly_dead()
    assert not children.any_newly_dead()
    (state,) = children.states()
    assert not state.healthy
    assert "ended by SIGKILL" in state.detail
    assert str(child.log) in state.detail


def test_a_child_that_ends_while_it_is_waited_for_is_an_error_with_the_end_of_its_log(children: Children) -> None:
    child = children.start(python("two", "print('no such flag: --x'); raise SystemExit(3)", probe=Probe(1, "/")))
    with pytest.raises(LocalClusterError, match=r"two exited with code 3(?s:.)*no such flag: --x"):
        children.wait_until_well(child)


def test_waiting_ends_when_it_is_cancelled(children: Children) -> None:
    child = children.start(python("three", SLEEP, probe=Probe(free_ports(1)[0], "/")))
    with pytest.raises(LocalClusterError, match="stopped while starting"):
        children.wait_until_well(child, lambda: True)


def test_stop_ends_the_last_started_first(tmp_path: Path) -> None:
    children = Children(tmp_path, tmp_path / "logs")
    note = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path / 'order')!r}, 'a').write(NAME), sys.exit()))\n"
        "print('on', flush=True)\n"
        "time.sleep(600)\n"
    )
    for name in "abc":
        wait_for_word(children.start(python(name, note.replace("NAME", repr(name)))).log, "on")
    children.stop()
    assert (tmp_path / "order").read_text() == "cba"


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    children = Children(tmp_path, tmp_path / "logs")
    child = children.start(python("stubborn", STUBBORN, grace_s=0.1))
    wait_for_word(child.log, "on")
    children.stop()
    assert not psutil.pid_exists(child.process.pid)


def test_grandchildren_left_over_are_found_by_their_mark(tmp_path: Path) -> None:
    children = Children(tmp_path, tmp_path / "logs")
    spawn = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}]).pid, flush=True)"
    child = children.start(python("parent", spawn))
    child.process.wait()
    orphan = int(child.log.read_text())
    assert psutil.pid_exists(orphan)
    children.stop()
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE


def test_only_processes_of_this_cluster_are_swept(tmp_path: Path) -> None:
    other = Children(tmp_path / "other", tmp_path / "logs")
    child = other.start(python("other", SLEEP))
    assert end_marked(tmp_path) == []
    assert child.process.poll() is None
    other.stop()


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from grove_operator.localcluster.controlplane import Component;"
        "from grove_operator.localcluster.supervisor_children import Children;"
        f"import sys, time; root = Path({str(tmp_path)!r});"
        f"child = Children(root, root / 'logs').start(Component('c', (sys.executable, '-S', '-c', {SLEEP!r})));"
        "print(child.process.pid, flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        gone, alive = psutil.wait_procs([grandchild], timeout=30)
    assert [process.pid for process in gone] == [grandchild.pid]
    assert alive == []


def wait_for_word(log: Path, word: str) -> None:
    while word not in log.read_text():
        time.sleep(0.01)
