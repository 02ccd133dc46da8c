"""The smallest changes that would place a refused gang, each proved by a run of the production solver on a copy.

    wait      for pods that are already terminating        evict   whole gangs or single pods, the least that does it
    uncordon  nodes that are cordoned or not ready         lower   a podgroup's minAvailable by the least k
    free      the least amount on the fewest nodes         relax   one required level to preferred

Only one kind of change is tried at a time. "Least" is irreducible: leaving out any part of it no longer helps. For
evictions and freed nodes the search goes through the domains that came closest: elsewhere a smaller change may exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from grove_operator.scheduler.explain import (
    CLUSTER,
    Explanation,
    Holding,
    Scene,
    WayOut,
    domain_nodes,
    relaxed,
    scene,
    scope_reports,
    why_unusable,
)
from grove_operator.scheduler.model import Gang, Node, Policy, Snapshot
from grove_operator.scheduler.quantity import spell

T = TypeVar("T")
RUNS = 250
DOMAINS = 3
SINGLES = 12
Unit = tuple[str, str]


def explain(
    snapshot: Snapshot,
    gangs: Iterable[Gang],
    key: str,
    holdings: Iterable[Holding] = (),
    *,
    policy: Policy | None = None,
    runs: int = RUNS,
) -> Explanation:
    """The whole answer for one gang (`namespace/name`); KeyError when there is none. `runs` bounds what-if runs."""
    seen = scene(snapshot, gangs, key, holdings, policy)
    if seen.refusal is None:
        return Explanation(key)
    trial = _Trial(seen, runs)
    ways = tuple(trial.ways_out())
    return Explanation(key, seen.refusal, scope_reports(seen), ways, trial.runs, is_complete=not trial.is_spent)


@dataclass(frozen=True, slots=True)
class _Domain:
    name: str
    nodes: tuple[Node, ...]

    @property
    def phrase(self) -> str:
        return "" if self.name == CLUSTER else f" in {self.name}"


class _Spent(Exception):  # noqa: N818 - no error: the budget's end
    """No what-if run is left."""


class _Trial:
    def __init__(self, seen: Scene, runs: int) -> None:
        self.seen, self.budget, self.runs, self.is_spent = seen, runs, 0, False
        self._for_extras = bool(seen.refusal and seen.refusal.pods)

    def ways_out(self) -> Iterator[WayOut]:
        """Least intrusive first."""
        domains = list(self._domains())
        for search in (self._wait, self._uncordon, self._free, self._evict):
            yield from self._within_budget(lambda search=search: search(domains))  # type: ignore[misc]
        yield from self._within_budget(self._lower)
        yield from self._within_budget(self._relax)

    def _within_budget(self, search: Callable[[], Iterator[WayOut]]) -> Iterator[WayOut]:
        try:
            yield from search()
        except _Spent:
            self.is_spent = True

    def _helps(self, snapshot: Snapshot | None = None, gang: Gang | None = None) -> bool:
        """The production solver's word on a copy."""
        if self.runs >= self.budget:
            raise _Spent
        self.runs += 1
        key = self.seen.gang.key
        decision = self.seen.decide(gang or self.seen.gang, snapshot)
        if any(r.gang == key and (self._for_extras or not r.pods) for r in decision.refusals):
            return False
        return any(a.gang == key for a in decision.assignments)

    def _domains(self) -> Iterator[_Domain]:
        refusal = self.seen.refusal
        names = [c.domain for c in refusal.closest[:DOMAINS]] if refusal else []
        for name in names or [CLUSTER]:
            nodes = domain_nodes(self.seen.snapshot, self.seen.gang, refusal.level if refusal else "", name)
            if nodes:
                yield _Domain(name, tuple(nodes))

    # ── wait, uncordon ──────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self, domains: Sequence[_Domain]) -> Iterator[WayOut]:
        leaving = [h for h in self.seen.holdings if h.is_leaving]
        if not leaving or not self._helps(self._without(leaving)):
            return
        least = irreducible(leaving, lambda some: self._helps(self._without(some)))
        names = tuple(sorted(f"{h.namespace}/{h.pod}" for h in least))
        yield WayOut(
            "wait",
            f"wait until terminating {_listed('pod', names)} {_are(names)} gone",
            amount=len(names),
            targets=names,
        )

    def _uncordon(self, domains: Sequence[_Domain]) -> Iterator[WayOut]:
        nodes = [n for n in self.seen.snapshot.nodes if why_unusable(n)]
        if not nodes or not self._helps(self._usable(nodes)):
            return
        least = irreducible(nodes, lambda some: self._helps(self._usable(some)))
        names = tuple(sorted(n.name for n in least))
        why = " and ".join(sorted({why_unusable(n) for n in least}))
        message = f"bring back {_listed('node', names)}, which {_are(names)} {why}"
        yield WayOut("uncordon", message, amount=len(names), targets=names)

    def _usable(self, nodes: Sequence[Node]) -> Snapshot:
        return self._changed({n.name: replace(n, unschedulable=False, ready=True) for n in nodes})

    # ── free, evict ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _free(self, domains: Sequence[_Domain]) -> Iterator[WayOut]:
        """In the domain where the least has to be freed."""
        found = [way for domain in domains if (way := self._free_in(domain)) is not None]
        if found:
            yield min(found, key=lambda way: (way.amount, len(way.targets)))

    def _free_in(self, domain: _Domain) -> WayOut | None:
        resource = self.seen.refusal.resource if self.seen.refusal else ""
        parts = {n.name: amount for n in domain.nodes if (amount := self._removable(n.name, resource)) > 0}
        names = sorted(parts, key=lambda name: (parts[name], name))

        def helps(some: Sequence[str]) -> bool:
            return self._helps(self._freed(resource, {name: parts[name] for name in some}))

        if not names or not helps(names):
            return None
        names = irreducible(shortest(names, helps)[::-1], helps)
        parts = {name: parts[name] for name in names}
        for name in names:
            parts[name] = least(
                parts[name],
                lambda amount, name=name: self._helps(self._freed(resource, {**parts, name: amount})),  # type: ignore[misc]
            )
        total = sum(parts.values())
        where = ", ".join(f"{amount} on {name}" for name, amount in sorted(parts.items()))
        places = f"on {names[0]}" if len(names) == 1 else f"on {len(names)} nodes ({where})"
        message = f"free {spell(resource, total)} {places}{domain.phrase}"
        return WayOut("free", message, domain.name, resource, total, tuple(sorted(parts)))

    def _removable(self, node: str, resource: str) -> int:
        """What others hold there: neither this gang and its siblings, nor what belongs to the node."""
        held = next((dict(n.used).get(resource, 0) for n in self.seen.observed.nodes if n.name == node), 0)
        ours = {self.seen.gang.key, *(g.key for g in self.seen.family)}
        kept = (h for h in self.seen.holdings if h.node == node and (h.is_pinned or h.gang in ours))
        return held - sum(h.amount(resource) for h in kept)

    def _freed(self, resource: str, amounts: dict[str, int]) -> Snapshot:
        """Nodes with these amounts of a resource given back, and their other usage in proportion."""
        changed = {}
        for node in self.seen.snapshot.nodes:
            if freed := amounts.get(node.name, 0):
                whole = dict(node.used)[resource]
                used = tuple((k, v - v * freed // whole) for k, v in node.used)
                changed[node.name] = replace(node, used=used, used_claims=() if freed == whole else node.used_claims)
        return self._changed(changed)

    def _evict(self, domains: Sequence[_Domain]) -> Iterator[WayOut]:
        """The smallest set of gangs and pods of at most this gang's priority, lower priorities first."""
        found = [way for domain in domains if (way := self._evict_in(domain)) is not None]
        if found:
            yield min(found, key=lambda way: (len(way.targets), way.amount))

    def _evict_in(self, domain: _Domain) -> WayOut | None:
        refusal = self.seen.refusal
        resource = (refusal.resource if refusal else "") or "pods"
        units = self._units(domain, resource)
        order = sorted(units, key=lambda u: (max(h.priority for h in units[u]), _size(units[u], resource), u))
        chosen = next(([u] for u in order[:SINGLES] if self._helps(self._without(units[u]))), None)
        if chosen is None:

            def all_gone(some: Sequence[Unit]) -> bool:
                return self._helps(self._without([h for u in some for h in units[u]]))

            if len(order) < 2 or not all_gone(order):
                return None
            chosen = irreducible(shortest(order, all_gone)[::-1], all_gone)
        held = sum(_size(units[u], resource) for u in chosen)
        names = tuple(f"{kind} {key}" for kind, key in sorted(chosen))
        message = f"evict {', '.join(names)} ({spell(resource, held)}){domain.phrase}"
        return WayOut("evict", message, domain.name, resource, held, names)

    def _units(self, domain: _Domain, resource: str) -> dict[Unit, list[Holding]]:
        """What can go: whole gangs with all their pods, wherever those are, and single pods."""
        names = {n.name for n in domain.nodes}
        ours = {self.seen.gang.key, *(g.key for g in self.seen.family)}
        units: dict[Unit, list[Holding]] = defaultdict(list)
        for holding in self.seen.holdings:
            units[holding.unit].append(holding)
        return {
            unit: held
            for unit, held in units.items()
            if unit[1] not in ours
            and not any(h.is_pinned or h.priority > self.seen.gang.priority for h in held)
            and any(h.node in names and h.amount(resource) for h in held)
        }

    def _without(self, gone: Sequence[Holding]) -> Snapshot:
        by_node: dict[str, list[Holding]] = defaultdict(list)
        for holding in gone:
            by_node[holding.node].append(holding)
        nodes = {n.name: n for n in self.seen.snapshot.nodes}
        return self._changed({name: _unloaded(nodes[name], held) for name, held in by_node.items() if name in nodes})

    def _changed(self, nodes: dict[str, Node]) -> Snapshot:
        snapshot = self.seen.snapshot
        return replace(snapshot, nodes=tuple(nodes.get(n.name, n) for n in snapshot.nodes))

    # ── lower, relax ────────────────────────────────────────────────────────────────────────────────────────────────

    def _lower(self) -> Iterator[WayOut]:
        gang = self.seen.gang
        if self._for_extras:
            return
        for i, group in enumerate(gang.podgroups):
            highest = group.minimum - max(sum(m.node is not None for m in group.members), 1)
            if highest < 1:
                continue

            def lowered(k: int, i: int = i) -> Gang:
                groups = list(gang.podgroups)
                groups[i] = replace(groups[i], minimum=groups[i].minimum - k)
                return replace(gang, podgroups=tuple(groups))

            if self._helps(gang=lowered(highest)):
                k = least(highest, lambda k, lowered=lowered: self._helps(gang=lowered(k)))  # type: ignore[misc]
                message = f"lower minAvailable of {group.name} by {k} to {group.minimum - k}"
                yield WayOut("lower", message, amount=k, targets=(group.name,))

    def _relax(self) -> Iterator[WayOut]:
        gang = self.seen.gang
        changes: list[tuple[str, str, Callable[[Gang], Gang]]] = []
        for i, group in enumerate(gang.podgroups):
            if group.constraint.required:
                changes.append((f"podgroup {group.name}", group.constraint.required, _relax_podgroup(i)))
        for i, config in enumerate(gang.groups):
            if config.constraint.required:
                changes.append((f"group {config.name}", config.constraint.required, _relax_group(i)))
        if gang.constraint.required:
            name = f"podgang {gang.name}"
            changes.append((name, gang.constraint.required, lambda g: replace(g, constraint=relaxed(g.constraint))))
        helped = False
        for scope, level, change in changes:
            if self._helps(gang=change(gang)):
                helped = True
                message = f"relax the required {level} of {scope} to preferred"
                yield WayOut("relax", message, amount=1, targets=(scope,))
        if not helped and len(changes) > 1:

            def all_relaxed(some: Sequence[tuple[str, str, Callable[[Gang], Gang]]]) -> bool:
                relaxed_gang = gang
                for _, _, change in some:
                    relaxed_gang = change(relaxed_gang)
                return self._helps(gang=relaxed_gang)

            if all_relaxed(changes):
                scopes = tuple(scope for scope, _, _ in irreducible(changes, all_relaxed))
                message = f"relax the required levels of {', '.join(scopes)} to preferred"
                yield WayOut("relax", message, amount=len(scopes), targets=scopes)


def _relax_podgroup(i: int) -> Callable[[Gang], Gang]:
    def change(gang: Gang) -> Gang:
        groups = list(gang.podgroups)
        groups[i] = replace(groups[i], constraint=relaxed(groups[i].constraint))
        return replace(gang, podgroups=tuple(groups))

    return change


def _relax_group(i: int) -> Callable[[Gang], Gang]:
    def change(gang: Gang) -> Gang:
        groups = list(gang.groups)
        groups[i] = replace(groups[i], constraint=relaxed(groups[i].constraint))
        return replace(gang, groups=tuple(groups))

    return change


# ── least changes ───────────────────────────────────────────────────────────────────────────────────────────────────


def least(highest: int, helps: Callable[[int], bool]) -> int:
    """The least amount in 1..highest that helps, by bisection; `highest` is known to help."""
    low, high = 1, highest
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if helps(middle) else (middle + 1, high)
    return high


def shortest(parts: Sequence[T], helps: Callable[[Sequence[T]], bool]) -> list[T]:
    """The shortest beginning that helps, by bisection; the whole is known to help."""
    return list(parts[: least(len(parts), lambda n: helps(parts[:n]))])


def irreducible(parts: Sequence[T], helps: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of `parts`, which help, that helps no longer when anything is left out; what comes first goes first."""
    kept = list(parts)
    for part in parts:
        rest = [p for p in kept if p is not part]
        if rest and helps(rest):
            kept = rest
    return kept


def _unloaded(node: Node, gone: Sequence[Holding]) -> Node:
    used, ports = dict(node.used), list(node.used_claims)
    for holding in gone:
        for resource, amount in holding.needs.requests:
            used[resource] = max(used.get(resource, 0) - amount, 0)
        for port in holding.needs.claims:
            if port in ports:
                ports.remove(port)
    return replace(node, used=tuple(sorted((k, v) for k, v in used.items() if v)), used_claims=tuple(ports))


def _size(held: Iterable[Holding], resource: str) -> int:
    return sum(h.amount(resource) for h in held)


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"
