"""What came of a scenario, from wherever it was run, and the claims that its YAML makes about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from grove_operator.scheduler.model import Decision
from tests.scenarios.reading import Data, Scenario


@dataclass
class Outcome:
    """`placed`: nodes by gang and podgroup, of pods that didn't run before. `refused`: (machine word, sentence)."""

    placed: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, decision: Decision) -> Outcome:
        found = cls(scores={s.gang.removeprefix("ns/"): s.value for s in decision.scores})
        for a in decision.assignments:
            found.placed.setdefault(a.gang.removeprefix("ns/"), {}).setdefault(a.podgroup, []).append(a.node)
        for r in decision.refusals:
            if not r.pods:
                assert r.proven, f"undecided: {r.message}"
                found.refused[r.gang.removeprefix("ns/")] = (r.reason, r.message)
        return found

    def nodes(self, gang: str) -> list[str]:
        return sorted(n for nodes in self.placed.get(gang, {}).values() for n in nodes)


def check(scenario: Scenario, outcome: Outcome) -> None:
    """AssertionError naming the gang and the claim that doesn't hold."""
    for gang, claims in scenario.expect.items():
        for claim, said in claims.items():
            CLAIMS[claim](_Seen(scenario, outcome, gang), said)


@dataclass(frozen=True)
class _Seen:
    scenario: Scenario
    outcome: Outcome
    gang: str

    @property
    def where(self) -> str:
        return f"{self.scenario.title}: gang {self.gang} is on {self.outcome.placed.get(self.gang)}"

    def domain(self, node: str, level: str) -> tuple[str, ...]:
        if level == "host":
            return (node,)
        labels = next(n.labels for n in self.scenario.snapshot.nodes if n.name == node)
        levels = self.scenario.levels
        return tuple(labels.get(key, f"no label on {node}") for key in levels[: levels.index(level) + 1])

    def everywhere(self, gang: str, groups: str = "") -> list[str]:
        """Nodes of new and of running pods of these podgroups, of all of them without any."""
        names = groups.split()
        placed = self.outcome.placed.get(gang, {})
        found = [n for g, nodes in placed.items() if not names or g in names for n in nodes]
        for one in self.scenario.gangs:
            if one.name == gang:
                found += [
                    m.node
                    for g in one.podgroups
                    if not names or g.name in names
                    for m in g.members
                    if m.node is not None
                ]
        return found


def _nodes(seen: _Seen, said: str) -> None:
    assert seen.outcome.nodes(seen.gang) == said.split(), seen.where


def _podgroups(seen: _Seen, said: Mapping[str, str]) -> None:
    for group, nodes in said.items():
        assert sorted(seen.outcome.placed.get(seen.gang, {}).get(group, [])) == nodes.split(), seen.where


def _count(seen: _Seen, said: Mapping[str, int]) -> None:
    counted = {group: len(nodes) for group, nodes in seen.outcome.placed.get(seen.gang, {}).items()}
    assert {group: counted.get(group, 0) for group in said} == dict(said), seen.where


def _pending(seen: _Seen, said: str) -> None:
    assert not seen.outcome.nodes(seen.gang), seen.where
    reason, _ = seen.outcome.refused[seen.gang]
    assert reason in ("", said), f"{seen.where}: {reason}"


def _because(seen: _Seen, said: list[str]) -> None:
    _, message = seen.outcome.refused[seen.gang]
    assert all(part in message for part in said), f"{seen.scenario.title}: {message}"


def _none(seen: _Seen, said: bool) -> None:
    assert not seen.outcome.nodes(seen.gang), seen.where
    assert seen.gang not in seen.outcome.refused, seen.where


def _one(seen: _Seen, said: Mapping[str, str]) -> None:
    for groups, level in said.items():
        nodes = seen.everywhere(seen.gang, "" if groups == seen.gang else groups)
        assert nodes, f"{seen.where}: nothing of {groups} is placed"
        assert len({seen.domain(n, level) for n in nodes}) == 1, f"{seen.where}: {groups} in one {level}"


def _with(seen: _Seen, said: Mapping[str, str]) -> None:
    for other, level in said.items():
        nodes = seen.everywhere(seen.gang) + seen.everywhere(other)
        assert len({seen.domain(n, level) for n in nodes}) == 1, f"{seen.where}: with {other} in one {level}"


def _hosts(seen: _Seen, said: Mapping[str, int]) -> None:
    for group, count in said.items():
        assert len(set(seen.outcome.placed[seen.gang][group])) == count, seen.where


def _domains(seen: _Seen, said: Mapping[str, int]) -> None:
    for level, count in said.items():
        assert len({seen.domain(n, level) for n in seen.outcome.nodes(seen.gang)}) == count, seen.where


def _shares(seen: _Seen, said: Mapping[str, str]) -> None:
    for level, counts in said.items():
        found = Counter(seen.domain(n, level) for n in seen.outcome.nodes(seen.gang))
        assert sorted(found.values()) == [int(n) for n in str(counts).split()], seen.where


def _includes(seen: _Seen, said: str) -> None:
    assert not Counter(said.split()) - Counter(seen.outcome.nodes(seen.gang)), seen.where


def _one_of(seen: _Seen, said: str) -> None:
    (node,) = seen.outcome.nodes(seen.gang)
    assert node in said.split(), seen.where


def _score(seen: _Seen, said: float) -> None:
    assert seen.outcome.scores[seen.gang] == said, seen.where


def _worse_than(seen: _Seen, said: float) -> None:
    assert seen.outcome.scores[seen.gang] < said, seen.where


CLAIMS = {
    "nodes": _nodes,
    "podgroups": _podgroups,
    "count": _count,
    "pending": _pending,
    "because": _because,
    "none": _none,
    "one": _one,
    "with": _with,
    "hosts": _hosts,
    "domains": _domains,
    "shares": _shares,
    "includes": _includes,
    "one of": _one_of,
    "score": _score,
    "worse than": _worse_than,
}


def told(data: Data) -> bool:
    """Is there a gang that has to be refused?"""
    return any("pending" in claims for claims in data["expect"].values())
