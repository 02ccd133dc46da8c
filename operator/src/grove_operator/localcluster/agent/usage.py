"""How much of a CPU each container uses: measured of processes, declared for pretended ones.

real         CPU time of the process and all its descendants between two looks, at least `WINDOW_S` apart
pretended    the pod's annotation `fleet.grove-py/cpu`, such as 300m, for each of its containers; else nothing
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from grove_operator.api.kinds import Json
from grove_operator.engine.ports import Clock
from grove_operator.localcluster.agent.admission import quantity

DECLARED = "fleet.grove-py/cpu"
WINDOW_S = 1.0
Running = Callable[[], Iterator[tuple[Json, dict[str, int]]]]
"""Pods that run, each with the process ids of its real containers by name."""


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    name: str
    cores: float
    memory_bytes: int = 0


@dataclass(slots=True)
class _Look:
    at: float
    cpu_s: float
    cores: float | None = None
    memory_bytes: int = 0


class Usage:
    """Looks only when it is asked, and at one process at most every `WINDOW_S` seconds."""

    def __init__(self, running: Running, clock: Clock) -> None:
        self._running, self._clock = running, clock
        self._looks: dict[int, _Look] = {}

    def pods(self) -> Iterator[tuple[Json, list[ContainerUsage]]]:
        """Each running pod of which all containers could be measured: a process needs two looks."""
        seen: set[int] = set()
        found: list[tuple[Json, list[ContainerUsage]]] = []
        for pod, pids in self._running():
            seen |= set(pids.values())
            used = [self._container(pod, c["name"], pids.get(c["name"])) for c in pod["spec"]["containers"]]
            known = [usage for usage in used if usage is not None]
            if len(known) == len(used):
                found.append((pod, known))
        for pid in self._looks.keys() - seen:
            del self._looks[pid]
        yield from found

    def _container(self, pod: Json, name: str, pid: int | None) -> ContainerUsage | None:
        if pid is None:
            declared = (pod["metadata"].get("annotations") or {}).get(DECLARED, "0")
            return ContainerUsage(name, float(quantity(declared)))
        look = self._look(pid)
        return None if look is None or look.cores is None else ContainerUsage(name, look.cores, look.memory_bytes)

    def _look(self, pid: int) -> _Look | None:
        before, now = self._looks.get(pid), self._clock.monotonic()
        if before is not None and now - before.at < WINDOW_S:
            return before
        try:
            cpu_s, memory_bytes = _totals(psutil.Process(pid))
        except psutil.Error:
            return None
        look = _Look(now, cpu_s, memory_bytes=memory_bytes)
        if before is not None:
            look.cores = max(0.0, cpu_s - before.cpu_s) / (now - before.at)
        self._looks[pid] = look
        return look


def _totals(process: psutil.Process) -> tuple[float, int]:
    """CPU seconds since the start and resident bytes, descendants included, also those that have ended."""
    cpu_s, memory_bytes = 0.0, 0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            cpu_s += times.user + times.system + times.children_user + times.children_system
            memory_bytes += one.memory_info().rss
    return cpu_s, memory_bytes
