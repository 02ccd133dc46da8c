"""One real container: the program is a process of this machine, the clock is real and its waits are short."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from grove_operator.api.kinds import Json
from grove_operator.kube.clock import RealClock
from grove_operator.localcluster.agent.container import Container
from grove_operator.localcluster.agent.processes import Launch, Processes
from grove_operator.localcluster.agent.status import ContainerState
from grove_operator.localcluster.fleet import Play


async def test_a_restart_is_counted_only_together_with_the_end_that_caused_it(tmp_path: Path) -> None:
    seen: list[Json] = []
    third_life = asyncio.Event()
    state = ContainerState("main", "image")
    processes = Processes(tmp_path)
    processes.mounts_refused = "not needed here"

    async def prepare(life: int) -> Launch:
        seen.append(state.to_json("uid"))  # what a status writer reads while the next process is being started
        if life == 2:
            third_life.set()
            await asyncio.Event().wait()
        argv = [sys.executable, "-c", "raise SystemExit(3)"]
        return Launch(argv, {"PATH": os.defpath}, "", [], tmp_path / "c", tmp_path / f"{life}.log")

    play = Play(restart_backoff_s=0.01)
    container = Container(
        {"name": "main"},
        state,
        "Always",
        "127.0.0.1",
        prepare,
        processes,
        RealClock(),
        play,
        lambda: seen.append(state.to_json("uid")),
        "ns/pod",
    )
    task = asyncio.create_task(container.run())
    await third_life.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert max(status["restartCount"] for status in seen) == 1
    for status in seen:
        assert status["restartCount"] == 0 or status["lastState"]["terminated"]["exitCode"] == 3, status


@pytest.mark.parametrize("hook", [{"sleep": {"seconds": 0.3}}, {"exec": {"command": ["sleep", "0.3"]}}])
async def test_a_process_goes_on_while_its_prestop_hook_runs_and_ends_after_it(tmp_path: Path, hook: Json) -> None:
    processes = Processes(tmp_path)
    processes.mounts_refused = "not needed here"
    log = tmp_path / "0.log"

    async def prepare(life: int) -> Launch:
        return Launch([sys.executable, "-c", TERMINATED], {"PATH": os.defpath}, "", [], tmp_path / "c", log)

    container = Container(
        {"name": "main", "lifecycle": {"preStop": hook}},
        ContainerState("main", "image"),
        "Always",
        "127.0.0.1",
        prepare,
        processes,
        RealClock(),
        Play(),
        lambda: None,
        "ns/pod",
    )
    task = asyncio.create_task(container.run())
    async with asyncio.timeout(20):
        while not (log.exists() and "runs" in log.read_text()):
            await asyncio.sleep(0.01)
        began = time.monotonic()
        await container.stop(20.0)
    assert "told to end" in log.read_text()
    assert time.monotonic() - began >= 0.3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


TERMINATED = """
import signal, sys

def end(*_):
    print("told to end", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print("runs", flush=True)
while True:
    signal.pause()
"""
