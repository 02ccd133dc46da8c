"""A `Solver` kept in step change by change decides as one that is made anew."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from grove_operator.scheduler.model import (
    GPU,
    Assignment,
    Constraint,
    Decision,
    Gang,
    Member,
    Needs,
    Node,
    PodGroup,
    Snapshot,
    Topology,
)
from grove_operator.scheduler.solve import Solver, schedule

TOPOLOGY = Topology("default", ("block", "rack"))


class Twin:
    """The same cluster twice: told to one solver event by event, and as plain data for a fresh one."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.nodes = {f"n{i:02}": self._node(f"n{i:02}") for i in range(rng.randint(4, 24))}
        self.used: dict[str, Counter[str]] = {name: Counter() for name in self.nodes}
        self.gangs: dict[str, Gang] = {}
        self.placed: dict[str, tuple[Assignment, ...]] = {}
        self.solver = Solver(self.snapshot())

    def _node(self, name: str) -> Node:
        labels = {"block": f"b{self.rng.randrange(2)}", "rack": f"r{self.rng.randrange(3)}"}
        amounts = (("cpu", self.rng.choice((4000, 16000))), (GPU, self.rng.choice((4, 8))), ("pods", 16))
        return Node(name, labels, amounts, unschedulable=self.rng.random() < 0.1)

    def snapshot(self) -> Snapshot:
        nodes = tuple(replace(n, used=tuple(sorted(self.used[n.name].items()))) for n in self.nodes.values())
        return Snapshot(nodes, (TOPOLOGY,))

    def step(self, i: int) -> None:
        event = self.rng.choice((self.arrive, self.arrive, self.arrive, self.leave, self.change_node, self.resize))
        event(i)

    def arrive(self, i: int) -> None:
        constraint = self.rng.choice((Constraint(), Constraint("rack"), Constraint("block", "rack")))
        groups = []
        for g in range(self.rng.randint(1, 3)):
            asked = {"cpu": self.rng.choice((0, 1000)), GPU: self.rng.choice((1, 2, 4)), "pods": 1}
            if self.rng.random() < 0.1:
                asked["example.com/nic"] = 1
            needs = Needs(tuple(sorted((k, v) for k, v in asked.items() if v)))
            members = tuple(Member("ns", f"g{i}-{g}-{m}", needs) for m in range(self.rng.randint(1, 4)))
            groups.append(PodGroup(f"p{g}", self.rng.randint(1, len(members)), members))
        gang = Gang("ns", f"g{i}", tuple(groups), constraint)
        self.gangs[gang.key] = gang
        self.solver.put(gang)
        mine, fresh = self.solver.decide([gang.key]), schedule(self.snapshot(), [gang])
        assert without_words(mine) == without_words(fresh), f"step {i}"
        self.use(gang, mine.assignments, 1)
        self.placed[gang.key] = mine.assignments
        if not mine.assignments:
            self.drop(gang.key)

    def leave(self, _: int) -> None:
        if self.placed:
            key = self.rng.choice(sorted(self.placed))
            self.use(self.gangs[key], self.placed[key], -1)
            self.drop(key)

    def drop(self, key: str) -> None:
        del self.placed[key], self.gangs[key]
        self.solver.drop(key)

    def use(self, gang: Gang, assignments: tuple[Assignment, ...], sign: int) -> None:
        asked = {m.name: m.needs.requests for g in gang.podgroups for m in g.members}
        for a in assignments:
            for resource, amount in asked[a.pod]:
                self.used[a.node][resource] += sign * amount
            self.solver.cluster.table.use(a.node, self.used[a.node].items())

    def change_node(self, _: int) -> None:
        name = self.rng.choice(sorted(self.nodes))
        self.nodes[name] = self._node(name)
        self.solver.cluster.update(replace(self.nodes[name], used=tuple(self.used[name].items())))

    def resize(self, _: int) -> None:
        """A node comes or goes: everything is counted anew."""
        name = f"x{self.rng.randrange(3)}"
        if name in self.nodes and not any(self.used[name].values()):
            del self.nodes[name], self.used[name]
        elif name not in self.nodes:
            self.nodes[name], self.used[name] = self._node(name), Counter()
        self.solver.cluster.replace(self.snapshot().nodes)


def without_words(decision: Decision) -> object:
    """Sentences may differ in which of two equally scarce resources they name."""
    return decision.assignments, decision.scores, [(r.gang, r.reason, r.scope, r.proven) for r in decision.refusals]


@pytest.mark.parametrize("seed", range(12))
def test_it_decides_as_one_that_is_made_anew(seed: int) -> None:
    twin = Twin(random.Random(seed))
    for i in range(60):
        twin.step(i)
