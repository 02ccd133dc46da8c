"""How well gangs are placed, not how fast: against the oracle, and what is left of the cluster's GPUs in large pieces.

    .venv/bin/python -m tests.bench.quality [--instances 400] [--nodes 512]

oracle          random gangs against the MILP: the finest levels and fewest domains there are, refusals that are none
fragmentation   a mixed stream at 70 % full, by us, by best fit (the fullest host that takes the pod) and at random:
                  usable in g's    Σ floor(free / g) · g over Σ free, per host; in 4 x 8: four whole hosts of one rack
                  unusable         GPUs that are free but of no use to a pod of the mix, expected over the mix
                  hosts per gang   which ours keeps small first, as the objective has it
first refusal   GPUs in use when a gang of 4 x 8 that requires a rack is refused for the first time, same stream
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grove_operator.scheduler.model import GPU, Assignment, Constraint, Gang
from grove_operator.scheduler.nodes import Ints
from grove_operator.scheduler.solve import Solver
from tests.bench.streams import RACK, cluster, podgroup, single
from tests.property.scheduler.audit import compare

MIX = {1: 0.4, 2: 0.25, 4: 0.2, 8: 0.15}
"""How often a pod asks for so many GPUs."""
GPUS, FILL, STEPS = 8, 0.7, 3000
Choose = Callable[[Ints, int], int]
"""(free GPUs per host, asked) -> host, among those that have enough."""


def small(i: int) -> Gang:
    """One to four pods of the mix, no constraint."""
    rng = random.Random(i)
    size = rng.choices(list(MIX), list(MIX.values()))[0]
    return Gang("ns", f"g{i}", (podgroup(f"g{i}", "w", rng.randint(1, 4), size),))


class Ours:
    """The solver, with usage told as the binder does."""

    def __init__(self, nodes: int) -> None:
        snapshot = cluster(nodes)
        self.solver = Solver(snapshot)
        self.used: dict[str, Counter[str]] = {n.name: Counter() for n in snapshot.nodes}
        self.running: dict[str, tuple[Gang, tuple[Assignment, ...]]] = {}

    def arrive(self, gang: Gang) -> bool:
        self.solver.put(gang)
        found = self.solver.decide((gang.key,)).assignments
        self._tell(gang, found, 1)
        if found:
            self.running[gang.key] = gang, found
        else:
            self.solver.drop(gang.key)
        return bool(found)

    def leave(self, key: str) -> None:
        self._tell(*self.running.pop(key), -1)
        self.solver.drop(key)

    def _tell(self, gang: Gang, found: tuple[Assignment, ...], sign: int) -> None:
        asked = dict(gang.podgroups[0].members[0].needs.requests)
        for a in found:
            for resource, amount in asked.items():
                self.used[a.node][resource] += sign * amount
        for name in {a.node for a in found}:
            self.solver.cluster.table.use(name, self.used[name].items())

    def hosts(self, key: str) -> int:
        return len({a.node for a in self.running[key][1]})

    @property
    def free(self) -> Ints:
        table = self.solver.cluster.table
        usable = np.array([not n.unschedulable for n in table.nodes])
        found: Ints = table.free[:, table.column[GPU]] * usable
        return found


class PodByPod:
    """A scheduler that looks at one pod at a time; gangs whole or not at all, racks where they are required."""

    def __init__(self, nodes: int, choose: Choose) -> None:
        self.free: Ints = np.array([0 if i % 50 == 49 else GPUS for i in range(nodes)])
        self.choose = choose
        self.running: dict[str, list[tuple[int, int]]] = {}

    def arrive(self, gang: Gang) -> bool:
        size = dict(gang.podgroups[0].members[0].needs.requests)[GPU]
        count = len(gang.podgroups[0].members)
        if not gang.constraint.required:
            return self._place(gang.key, size, count, np.ones(len(self.free), dtype=bool))
        racks = np.arange(len(self.free)) // RACK
        return any(self._place(gang.key, size, count, racks == rack) for rack in range(int(racks[-1]) + 1))

    def _place(self, key: str, size: int, count: int, where: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bool:
        taken: list[tuple[int, int]] = []
        for _ in range(count):
            fits = (self.free >= size) & where
            if not fits.any():
                for host, amount in taken:
                    self.free[host] += amount
                return False
            host = self.choose(np.where(fits, self.free, -1), size)
            self.free[host] -= size
            taken.append((host, size))
        self.running[key] = taken
        return True

    def hosts(self, key: str) -> int:
        return len({host for host, _ in self.running[key]})

    def leave(self, key: str) -> None:
        for host, amount in self.running.pop(key):
            self.free[host] += amount


def best_fit(free: Ints, size: int) -> int:
    return int(np.argmin(np.where(free >= size, free, GPUS + 1)))


def at_random(seed: int) -> Choose:
    rng = random.Random(seed)
    return lambda free, size: rng.choice(np.flatnonzero(free >= size).tolist())


@dataclass
class Pieces:
    usable: dict[int, float]
    fours: float
    unusable: float
    hosts_per_gang: float


def pieces(free: Ints, hosts: list[int]) -> Pieces:
    total = int(free.sum())
    usable = {g: float((free // g * g).sum() / total) for g in MIX}
    whole = np.add.reduceat((free == GPUS).astype(np.int64), np.arange(0, len(free), RACK))
    return Pieces(
        usable,
        float((whole // 4 * 4 * GPUS).sum() / total),
        sum(share * (1 - usable[g]) for g, share in MIX.items()),
        sum(hosts) / len(hosts),
    )


def churn(world: Ours | PodByPod, seed: int) -> Pieces:
    """Gangs come and leave at random at FILL."""
    rng, running, most = random.Random(seed), deque[str](), int(world.free.sum())
    hosts: list[int] = []
    for i in range(STEPS):
        gang = small(seed * STEPS + i)
        if world.arrive(gang):
            running.append(gang.key)
            hosts.append(world.hosts(gang.key))
        while int(world.free.sum()) < (1 - FILL) * most:
            running.rotate(rng.randrange(len(running)))
            world.leave(running.popleft())
    return pieces(world.free, hosts)


def first_refusal(world: Ours | PodByPod, seed: int) -> float:
    """Small gangs, and a large one after every tenth, until a large one finds no rack: share of GPUs in use."""
    most = int(world.free.sum())
    large = single(4, 8, Constraint("rack"))
    for i in range(10**6):
        if i % 10 == 9:
            if not world.arrive(large(seed * STEPS + i)):
                break
        else:
            world.arrive(small(seed * STEPS + i))
    return 1 - int(world.free.sum()) / most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--nodes", type=int, default=512)
    arguments = parser.parse_args()
    found = compare(0, arguments.instances)
    placed = found["placed"]
    print(f"oracle: {placed:.0f} placed, {found['refused']:.0f} refused, {found.get('false refusals', 0):.0f} falsely")
    print(
        f"  finest levels {found['same levels'] / placed:.2%}, fewest domains too {found['same domains'] / placed:.2%}"
    )
    worlds: dict[str, Callable[[], Ours | PodByPod]] = {
        "ours": lambda: Ours(arguments.nodes),
        "best fit": lambda: PodByPod(arguments.nodes, best_fit),
        "random": lambda: PodByPod(arguments.nodes, at_random(1)),
    }
    print("| | usable in 2s | in 4s | in 8s | in 4 x 8 | unusable for the mix | hosts per gang | first refusal at |")
    print("|---|---|---|---|---|---|---|---|")
    for name, world in worlds.items():
        p = churn(world(), 1)
        late = first_refusal(world(), 2)
        shares = " | ".join(f"{p.usable[g]:.1%}" for g in (2, 4, 8))
        print(
            f"| {name} | {shares} | {p.fours:.1%} | {p.unusable:.1%} | {p.hosts_per_gang:.2f} | {late:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
