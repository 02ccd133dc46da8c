"""Place one gang's minima, or nothing: depth first over the scope tree, with an undo log and back-jumping.

    agenda: [root] ─ choose a domain ─> [most constrained child, ..., unconstrained leaves together] ─ ...

Every frame of the stack is one choice. A frame with no domain left tells which earlier choices could have taken its
room (its conflict); the search jumps back to the newest of those and never tries again what can't matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.model import Policy
from grove_operator.scheduler.nodes import Bools, Ints, Shape
from grove_operator.scheduler.pack import VARIANTS, Packer, Slots
from grove_operator.scheduler.scopes import Demand, Scope


@dataclass(eq=False, slots=True)
class Task:
    """Find room in [lo, hi), a domain of `level`: for a constrained `scope`, or for `leaves` packed together.

    `wished` is the level whose domains the enclosing scope would like to use few of.
    """

    lo: int
    hi: int
    level: int
    wished: int
    scope: Scope | None = None
    leaves: list[Scope] = field(default_factory=list)


PATIENCE = 2
"""Complete solutions in a row that may be no better than the best before the comparison ends."""
Agenda = tuple[Task, "Agenda"] | None
Option = tuple[int, int, int]
"""(level, domain, packing variant)."""
Key = tuple[bool, tuple[int, ...], tuple[int, ...], int]
"""No room for siblings, levels lost per scope, domains used per scope (both outermost first), hosts."""


@dataclass(eq=False, slots=True)
class Frame:
    task: Task
    rest: Agenda
    mark: int
    options: Iterator[Option]
    slots: Slots = field(default_factory=list)
    conflict: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Placed:
    """Node row per pending member, in member order, for each leaf."""

    leaf: Scope
    rows: tuple[int, ...]


class Search:
    def __init__(self, capacity: Capacity, policy: Policy) -> None:
        self.capacity, self.policy = capacity, policy
        self.table, self.index = capacity.table, capacity.index
        self.packer = Packer(capacity, policy.subsets)
        self.attempts_left = policy.attempts
        self.start = 0

    @property
    def is_exhausted(self) -> bool:
        """The budget ended the search: the answer is no proof."""
        return self.attempts_left <= 0

    def place(self, tree: Scope, lookahead: Scope | None = None) -> list[Placed] | None:
        """Takes room for the tree's demand and says where; or None, with the table as it was."""
        self.start = self.table.mark()
        self.attempts_left = self.policy.attempts
        root = Task(0, len(self.table), 0, 0, scope=tree)
        best: tuple[Key, list[tuple[Task, Slots]]] | None = None
        bound = max((-(-n // max(int(s.fits.max(initial=0)), 1)) for s, n in tree.demand), default=1)
        found_level, compared, in_vain = -1, 0, 0
        for option in self._options(root, lookahead):
            is_enough = compared >= self.policy.compared or in_vain >= PATIENCE
            if best is not None and (option[0] != found_level or is_enough):
                break
            crowds = lookahead is not None and not self._holds(lookahead, option)
            stack = self._run(root, option)
            if stack is not None:
                compared += 1
                found_level = option[0]
                solution = [(f.task, f.slots) for f in stack]
                key, is_perfect = self._judge(tree, bound, solution, crowds=crowds)
                in_vain += 1
                if best is None or key < best[0]:
                    best, in_vain = (key, solution), 0
                self.table.undo(self.start)
                if is_perfect:
                    break
            if self.is_exhausted:
                break
        if best is None:
            return None
        for _, slots in best[1]:
            for shape, rows, counts in slots:
                self.table.take(shape, rows, counts)
        return [p for task, slots in best[1] for p in self.hand_out(task, slots)]

    def hand_out(self, task: Task, slots: Slots) -> list[Placed]:
        """Members in order onto nodes in path order, so that neighbours share racks and hosts."""
        queues: dict[int, list[int]] = {}
        for shape, rows, counts in slots:
            at = np.sort(np.repeat(self.index.position[rows], counts))
            queues[id(shape)] = self.index.perm[at].tolist()[::-1]
        leaves = task.leaves or ([task.scope] if task.scope and task.scope.is_leaf else [])
        return [
            Placed(leaf, tuple(queues[id(self.table.shape(m.needs))].pop() for m in leaf.needed)) for leaf in leaves
        ]

    def _run(self, root: Task, option: Option) -> list[Frame] | None:
        """All choices of a complete solution below one option of the root; the table keeps what they took."""
        stack = [Frame(root, None, self.start, iter((option,)))]
        while stack:
            frame = stack[-1]
            self.table.undo(frame.mark)
            frame.slots = []
            choice = next(frame.options, None) if self.attempts_left > 0 else None
            if choice is None:
                if self.attempts_left <= 0:
                    self.table.undo(self.start)
                    return None
                self._jump_back(stack)
                continue
            self.attempts_left -= 1
            agenda = self._apply(frame, choice)
            if agenda is False:
                continue
            if agenda is None:
                return stack
            assert isinstance(agenda, tuple)  # noqa: S101
            task, rest = agenda
            stack.append(Frame(task, rest, self.table.mark(), self._options(task, None)))
        return None

    def _jump_back(self, stack: list[Frame]) -> None:
        frame = stack.pop()
        culprits = frame.conflict | self._culprits(frame, stack)
        while stack and len(stack) - 1 not in culprits:
            self.table.undo(stack[-1].mark)
            stack.pop()
        if stack:
            stack[-1].conflict |= culprits - {len(stack) - 1}

    def _culprits(self, failed: Frame, stack: list[Frame]) -> set[int]:
        """Earlier choices that took room in the failed task's range, or that chose this range."""
        lo, hi = failed.task.lo, failed.task.hi
        found = set()
        for depth, frame in enumerate(stack):
            at = [self.index.position[rows] for _, rows, _ in frame.slots]
            took = any(bool(((p >= lo) & (p < hi)).any()) for p in at)
            encloses = not frame.slots and frame.task.lo <= lo and hi <= frame.task.hi
            if took or encloses:
                found.add(depth)
        return found

    def _apply(self, frame: Frame, choice: Option) -> Agenda | bool:
        """Make the choice: the agenda that remains (None: solved), or False if the pods don't fit there."""
        level, domain, variant = choice
        task = frame.task
        lo, hi = int(self.index.lo[level][domain]), int(self.index.hi[level][domain])
        if task.scope is not None and not task.scope.is_leaf:
            agenda = frame.rest
            for child in reversed(self._children(task.scope, lo, hi, level)):
                agenda = (child, agenda)
            return agenda
        leaves = task.leaves or [task.scope] if task.scope else task.leaves
        demand = _joined([leaf.demand for leaf in leaves if leaf is not None])
        wished = max(task.wished if task.scope is None else task.scope.wished, level)
        slots = self.packer.pack(demand, lo, hi, level, wished, self._used(task, lo, hi), variant)
        if slots is None:
            return False
        frame.slots = slots
        return frame.rest

    def _children(self, scope: Scope, lo: int, hi: int, level: int) -> list[Task]:
        """Constrained children, most constrained first; then the unconstrained leaves, packed as one."""
        own: list[tuple[tuple[object, ...], Task]] = []
        loose: list[Scope] = []
        for child in _narrower(scope, level):
            if child.is_leaf and max(child.required, child.wished) <= level:
                loose.append(child)
                continue
            task = Task(lo, hi, level, scope.wished, scope=child)
            target = max(child.required, level)
            choices = int(self.capacity.feasible(child, target, lo, hi).sum())
            biggest = max((tuple(np.sort(s.request)[::-1].tolist()) for s, _ in child.demand), default=())
            own.append(((not len(child.anchors), choices, tuple(-x for x in biggest), -child.pods, child.name), task))
        tasks = [task for _, task in sorted(own, key=lambda pair: pair[0])]
        if loose:
            tasks.append(Task(lo, hi, level, scope.wished, leaves=loose))
        return tasks

    def _used(self, task: Task, lo: int, hi: int) -> Ints:
        """Positions in the range where this gang has pods already, bound or just placed."""
        rows = [rows for rows, _, _ in self.table.taken_since(self.start)]
        rows += [leaf.anchors for leaf in ([task.scope] if task.scope else task.leaves)]
        at = self.index.position[np.unique(np.concatenate(rows))] if rows else np.zeros(0, dtype=np.int64)
        return at[(at >= lo) & (at < hi)]

    def _options(self, task: Task, lookahead: Scope | None) -> Iterator[Option]:
        """Domains to try: finest wished level first, and within a level the best-looking first."""
        scope = task.scope
        enclosing = int(self.index.dom[task.level][task.lo]) if task.hi > task.lo else -1
        if enclosing < 0:
            return
        if scope is None:
            yield from ((task.level, enclosing, v) for v in range(VARIANTS))
            return
        required = max(scope.required, task.level)
        variants = range(VARIANTS) if scope.is_leaf else range(1)
        for level in range(max(scope.wished, required), required - 1, -1):
            ids = self._ranked(task, scope, level, lookahead)
            for variant in variants:
                for domain in ids:
                    yield level, domain, variant

    def _ranked(self, task: Task, scope: Scope, level: int, lookahead: Scope | None) -> list[int]:
        """Ids of feasible domains of the level inside the task's range, by O3 to O7 of the objective."""
        lo, hi = task.lo, task.hi
        first, _ = self.index.inside(level, lo, hi)
        feasible = self.capacity.feasible(scope, level, lo, hi)
        feasible &= self._allowed_by_anchors(scope, level, lo, hi)
        ids = np.flatnonzero(feasible)
        if len(ids) < 2:
            return [int(i) + first for i in ids]
        siblings = (
            ~self.capacity.feasible(lookahead, level, lo, hi)[ids] if lookahead else np.zeros(len(ids), dtype=bool)
        )
        need, room = self.capacity.columns(scope.full, lo, hi)
        starts = self.index.lo[level][first : first + len(feasible)] - lo
        full = (np.add.reduceat(room, starts, axis=0)[ids] >= need).all(axis=1)
        keys: list[Any] = [ids]
        free = self._scarce(scope.demand, lo, hi)
        for broader in range(level, task.level, -1):
            keys.append(self._leftover(free, broader, level, lo, hi)[ids])
        keys += [~full, self._hosts_bound(scope.demand, level, lo, hi)[ids]]
        keys += [self._is_fresh(task, level, lo, hi)[ids], siblings]
        return [int(i) + first for i in ids[np.lexsort(keys)]]

    def _scarce(self, demand: Demand, lo: int, hi: int) -> Ints:
        """What counts as left over on each position: free devices of the kinds asked for, else places for its pods."""
        rows = self.index.perm[lo:hi]
        columns = [c for r, c in self.table.column.items() if "/" in r and any(s.request[c] for s, _ in demand)]
        free: Ints = self.table.free[rows][:, columns].sum(axis=1) if columns else demand[0][0].fits[rows]
        return free

    def _leftover(self, free: Ints, broader: int, level: int, lo: int, hi: int) -> Ints:
        """What is free around each domain of `level`, in its domain of a broader level: the tightest is best."""
        start, stop = self.index.inside(broader, lo, hi)
        sums = np.add.reduceat(free, np.maximum(self.index.lo[broader][start:stop] - lo, 0))
        first, end = self.index.inside(level, lo, hi)
        return sums[self.index.dom[broader][self.index.lo[level][first:end]] - start]

    def _hosts_bound(self, demand: Demand, level: int, lo: int, hi: int) -> Ints:
        """No fewer hosts than this in each domain: pods over what its largest host takes."""
        first, end = self.index.inside(level, lo, hi)
        starts = self.index.lo[level][first:end] - lo
        bound = np.ones(end - first, dtype=np.int64)
        for shape, n in demand:
            largest = np.maximum.reduceat(shape.fits[self.index.perm[lo:hi]], starts)
            bound = np.maximum(bound, -(-n // np.maximum(largest, 1)))
        return bound

    def _is_fresh(self, task: Task, level: int, lo: int, hi: int) -> Bools:
        """Would a domain open one more domain of the enclosing scope's wished level?"""
        first, end = self.index.inside(level, lo, hi)
        used = self._used(task, lo, hi)
        if task.wished <= task.level or task.wished > level or not len(used):
            return np.zeros(end - first, dtype=bool)
        taken = self.index.dom[task.wished][used]
        return ~np.isin(self.index.dom[task.wished][self.index.lo[level][first:end]], taken)

    def _allowed_by_anchors(self, scope: Scope, level: int, lo: int, hi: int) -> Bools:
        """Bound members fix the domain: the one that has them all, or at the required level the one that has most."""
        first, end = self.index.inside(level, lo, hi)
        allowed = np.ones(end - first, dtype=bool)
        at = self.index.position[scope.anchors]
        at = at[(at >= lo) & (at < hi)]
        domains = self.index.dom[level][at] - first
        domains = domains[self.index.real[level][domains + first]] if level else domains
        if not len(domains):
            return allowed
        ids, counts = np.unique(domains, return_counts=True)
        allowed[:] = False
        if len(ids) == 1 or level == max(scope.required, 0):
            allowed[ids[np.argmax(counts)]] = True
        return allowed

    def anchored(self, scope: Scope, level: int) -> Bools:
        """Domains of the level, over all nodes, that the scope's bound members leave open."""
        return self._allowed_by_anchors(scope, level, 0, len(self.table))

    def _judge(self, tree: Scope, bound: int, solution: list[tuple[Task, Slots]], *, crowds: bool) -> tuple[Key, bool]:
        """Key of a complete solution (smaller is better) and whether nothing can beat it (`bound`: fewest hosts)."""
        rows = rows_by_leaf([p for task, slots in solution for p in self.hand_out(task, slots)])
        lost: list[int] = []
        spread: list[int] = []
        for scope in sorted_by_depth(tree):
            kept, used = self.reach(scope, rows)
            lost.append(scope.wished - kept)
            spread.append(used)
        hosts = len({r for found in rows.values() for r in found})
        is_perfect = not any(lost) and hosts <= max(bound, 1)
        return (crowds, tuple(lost), tuple(spread), hosts), is_perfect

    def _holds(self, scope: Scope, option: Option) -> bool:
        """Could the option's domain hold the scope, as far as the necessary tests tell?"""
        level, domain, _ = option
        lo, hi = int(self.index.lo[level][domain]), int(self.index.hi[level][domain])
        return bool(self.capacity.feasible(scope, level, lo, hi).all())

    def fewest_domains(self, scope: Scope) -> int:
        """Lower bound on the domains of its wished level that the scope needs, by capacity sums alone."""
        if not scope.demand or not len(self.table):
            return 1
        need, room = self.capacity.columns(scope.demand, 0, len(self.table))
        caps = np.add.reduceat(room, self.index.lo[scope.wished], axis=0)
        enough = (np.cumsum(-np.sort(-caps, axis=0), axis=0) >= need).all(axis=1)
        return int(np.argmax(enough)) + 1

    def reach(self, scope: Scope, rows: dict[int, tuple[int, ...]]) -> tuple[int, int]:
        """(finest level up to the wished one at which one domain holds the scope, domains used at the wished level)."""
        own = [r for leaf in scope.leaves() for r in rows.get(id(leaf), ())]
        at = self.index.position[np.array([*own, *scope.anchors.tolist()], dtype=np.int64)]
        if not len(at):
            return scope.wished, 1
        for level in range(scope.wished, 0, -1):
            domains = self.index.dom[level][at]
            if (domains == domains[0]).all() and self.index.real[level][domains[0]]:
                break
        else:
            level = 0
        return level, len(np.unique(self.index.dom[scope.wished][at]))


def score(search: Search, tree: Scope, placed: list[Placed]) -> float:
    """Mean over constrained scopes of (levels kept / levels wished) · (fewest domains possible / domains used).

    The table must be as it was before the placement: the fewest possible is counted on what was free then.
    """
    rows = rows_by_leaf(placed)
    values = []
    for scope in sorted_by_depth(tree):
        kept, used = search.reach(scope, rows)
        if kept == scope.wished:
            values.append(1.0)
        else:
            values.append(kept / scope.wished * min(search.fewest_domains(scope), used) / used)
    return round(sum(values) / len(values), 4) if values else 1.0


def _narrower(scope: Scope, level: int) -> Iterator[Scope]:
    """Children that still ask for pods; one that asks for nothing narrower than the domain gives way to its own."""
    for child in scope.children:
        if child.demand and not child.is_leaf and max(child.required, child.wished) <= level:
            yield from _narrower(child, level)
        elif child.demand:
            yield child


def rows_by_leaf(placed: list[Placed]) -> dict[int, tuple[int, ...]]:
    return {id(p.leaf): p.rows for p in placed}


def sorted_by_depth(tree: Scope) -> list[Scope]:
    """Constrained scopes, outermost first."""
    layers, found = [tree], []
    while layers:
        found += [s for s in layers if s.wished and s.is_constrained]
        layers = [c for s in layers for c in s.children]
    return found


def _joined(demands: list[Demand]) -> Demand:
    merged: dict[int, tuple[Shape, int]] = {}
    for shape, n in (d for demand in demands for d in demand):
        merged[id(shape)] = (shape, n + merged.get(id(shape), (shape, 0))[1])
    return list(merged.values())
