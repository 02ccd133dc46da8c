"""Place one gang's minima, or nothing: depth first over the scope tree, with an undo log and back-jumping.

    agenda: [root] ─ choose a domain ─> [most constrained child, ..., what needs no domain of its own, together] ─ ...

Every frame of the stack is one choice. A frame with no domain left tells which earlier choices could have taken its
room (its conflict); the search jumps back to the newest of those and never tries again what can't matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.hosts import Slot
from grove_operator.scheduler.judge import Judge, Key, Reach
from grove_operator.scheduler.lanes import Demand, Lanes
from grove_operator.scheduler.liking import NONE, Liking
from grove_operator.scheduler.model import Claim, Policy
from grove_operator.scheduler.nodes import Ints, Shape
from grove_operator.scheduler.options import Ranking
from grove_operator.scheduler.pack import VARIANTS, Packer
from grove_operator.scheduler.predicates import claims_collide
from grove_operator.scheduler.scopes import Scope, is_loose, narrower, prepare

PATIENCE = 2
"""Complete solutions in a row that may be no better than the best before the comparison ends."""
Option = tuple[int, int, int]
"""(level, domain, packing variant)."""


@dataclass(eq=False, slots=True)
class Task:
    """Find room in [lo, hi), a domain of `level`: for `scopes` that are all alike and each need a domain of their own
    (or may share one), or for `loose` ones, packed together.

    `wished` is the level whose domains the enclosing scope would like to use few of.
    """

    lo: int
    hi: int
    level: int
    wished: int
    scopes: list[Scope] = field(default_factory=list)
    loose: list[Scope] = field(default_factory=list)


Agenda = tuple[Task, "Agenda"] | None


@dataclass(eq=False, slots=True)
class Frame:
    task: Task
    rest: Agenda
    mark: int
    options: Iterator[Option]
    level: int = 0
    slots: list[Slot] = field(default_factory=list)
    packed: list[Scope] = field(default_factory=list)
    conflict: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Placed:
    """Node row per pending member, in member order, for each leaf."""

    leaf: Scope
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """`may_improve`: sums don't rule out finer levels or fewer domains."""

    placed: list[Placed]
    score: float
    may_improve: bool = False


class Search:
    """Searches one topology; `is_exhausted` tells whether the budget, and no proof, ended the last search."""

    def __init__(self, capacity: Capacity, policy: Policy) -> None:
        self.capacity, self.policy = capacity, policy
        self.table, self.index = capacity.table, capacity.index
        self.attempts_left = policy.attempts
        self.start = 0
        self.liking = NONE

    @property
    def is_exhausted(self) -> bool:
        return self.attempts_left <= 0

    def ready(self, tree: Scope, lookahead: Scope | None = None, liking: Liking = NONE) -> Lanes:
        """The lanes for a tree (and its look-ahead), up to date, with the scopes' needs expressed on them."""
        shapes = [s for demand in (tree.ask, tree.ask_full) for s, _ in demand]
        shapes += [s for demand in (lookahead.ask, lookahead.ask_full) for s, _ in demand] if lookahead else []
        self.lanes = self.capacity.lanes(shapes)
        prepare(tree, self.lanes)
        if lookahead is not None:
            prepare(lookahead, self.lanes)
        self.liking = liking
        self.packer = Packer(self.table, self.index, self.lanes, self.policy.subsets, liking)
        return self.lanes

    def place(
        self, tree: Scope, lookahead: Scope | None = None, liking: Liking = NONE, attempts: int = 0
    ) -> Solution | None:
        """Takes room for the tree's demand and says where; or None, with the table as it was.

        `attempts`: domains tried, when not the policy's.
        """
        self.ready(tree, lookahead, liking)
        self.start = self.table.mark()
        self.attempts_left = attempts or self.policy.attempts
        judge = Judge(tree, self.index)
        best: tuple[Key, list[Frame], list[Reach]] | None = None
        found_level, compared, in_vain = -1, 0, 0
        root = Task(0, len(self.table), 0, 0, scopes=[tree])
        least = max((-(-n // max(self.lanes.most[lane], 1)) for lane, n in tree.need.pairs), default=1)
        is_tight = False
        for option in self._options(root, [], lookahead):
            is_enough = compared >= self.policy.compared or in_vain >= PATIENCE
            if best is not None and (option[0] != found_level or is_enough):
                break
            crowds = lookahead is not None and not self._holds(lookahead, option)
            stack = self._run(root, option)
            if stack is not None:
                compared, in_vain, found_level = compared + 1, in_vain + 1, option[0]
                hosts = len({p for frame in stack for _, at, _ in frame.slots for p in at})
                if hosts > least and not is_tight:
                    self.table.undo(self.start)
                    least, is_tight = max(least, self._fewest_hosts(tree)), True
                    for frame in stack:
                        self._take(frame.slots)
                if hosts <= least and not crowds and not tree.anchors and self._kept_all(stack):
                    return Solution(self._hand_out(stack), 1.0)
                self.table.undo(self.start)
                rows = {id(p.leaf): p.rows for p in self._hand_out(stack)}
                reached = judge.measure(rows)
                key = judge.key(reached, hosts, crowds=crowds)
                if best is None or key < best[0]:
                    best, in_vain = (key, stack, reached), 0
                if not any(key[1]) and hosts <= least and not crowds:
                    break
            if self.is_exhausted:
                break
        if best is None:
            return None
        _, stack, reached = best
        score, may_improve = judge.score(reached, self.lanes), judge.may_improve(reached, self.capacity, self.lanes)
        for frame in stack:
            self._take(frame.slots)
        return Solution(self._hand_out(stack), score, may_improve)

    def accept(self, tree: Scope, placed: list[Placed]) -> Solution | None:
        """Takes room for a placement found elsewhere; None, with the table as it was, when it doesn't fit."""
        table, mark = self.table, self.table.mark()
        judge = Judge(tree, self.index)
        score = judge.score(judge.measure({id(p.leaf): p.rows for p in placed}), self.lanes)
        for one in placed:
            for shape, row in zip(one.leaf.shapes, one.rows, strict=True):
                if (table.free[row] < shape.request).any() or claims_collide(shape.claims, table.claims[row]):
                    table.undo(mark)
                    return None
                claims = [(row, shape.claims)] if shape.claims else []
                table.take(np.array([row], dtype=np.int64), shape.request[None], claims)
        return Solution(placed, score, score < 1)

    def _fewest_hosts(self, tree: Scope) -> int:
        """No placement uses fewer hosts than this, given what is free now."""
        bound = self.lanes.hosts_bound(tree.need, 0, np.zeros(1, dtype=np.int64))
        return 1 if bound is None else int(bound[0])

    @staticmethod
    def _kept_all(stack: list[Frame]) -> bool:
        return all(not f.task.scopes or f.level >= f.task.scopes[0].wished for f in stack)

    def _hand_out(self, stack: list[Frame]) -> list[Placed]:
        """Members in order onto nodes in path order, so that neighbours share racks and hosts."""
        placed: list[Placed] = []
        for frame in stack:
            queues: dict[int, list[int]] = {}
            for shape, at, counts in frame.slots:
                spots = sorted((p, n) for p, n in zip(at, counts, strict=True))
                positions = [p for p, n in spots for _ in range(n)]
                queues[shape.number] = self.index.perm[positions].tolist()[::-1]
            for scope in frame.packed:
                placed += self.members(scope, queues)
        return placed

    def members(self, scope: Scope, queues: dict[int, list[int]]) -> Iterator[Placed]:
        """Takes a row for each pod of the scope from the end of its shape's queue."""
        if scope.unit is not None:
            row = queues[scope.unit.number].pop()
            yield from (Placed(leaf, (row,) * len(leaf.needed)) for leaf in scope.leaves() if leaf.needed)
        elif scope.is_leaf:
            yield Placed(scope, tuple(queues[shape.number].pop() for shape in scope.shapes))
        else:
            for child in scope.children:
                if child.demand:
                    yield from self.members(child, queues)

    # ── the stack ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, root: Task, option: Option) -> list[Frame] | None:
        """All choices of a complete solution below one option of the root; the table keeps what they took."""
        stack = [Frame(root, None, self.start, iter((option,)))]
        while stack:
            frame = stack[-1]
            self.table.undo(frame.mark)
            frame.slots, frame.packed = [], []
            choice = next(frame.options, None) if self.attempts_left > 0 else None
            if choice is None:
                if self.attempts_left <= 0:
                    self.table.undo(self.start)
                    return None
                self._jump_back(stack)
                continue
            self.attempts_left -= 1
            is_made, agenda = self._apply(frame, stack, choice)
            if not is_made:
                continue
            if agenda is None:
                return stack
            task, rest = agenda
            stack.append(Frame(task, rest, self.table.mark(), self._options(task, stack, None)))
        return None

    def _jump_back(self, stack: list[Frame]) -> None:
        frame = stack.pop()
        culprits = frame.conflict | self._culprits(frame, stack)
        while stack and len(stack) - 1 not in culprits:
            self.table.undo(stack[-1].mark)
            stack.pop()
        if stack:
            stack[-1].conflict |= culprits - {len(stack) - 1}

    @staticmethod
    def _culprits(failed: Frame, stack: list[Frame]) -> set[int]:
        """Earlier choices that took room in the failed task's range, or that chose this range."""
        lo, hi = failed.task.lo, failed.task.hi
        found = set()
        for depth, frame in enumerate(stack):
            took = any(lo <= p < hi for _, at, _ in frame.slots for p in at)
            encloses = not frame.slots and frame.task.lo <= lo and hi <= frame.task.hi
            if took or encloses:
                found.add(depth)
        return found

    def _apply(self, frame: Frame, stack: list[Frame], choice: Option) -> tuple[bool, Agenda]:
        """Make the choice: whether the pods fit there, and the agenda that remains (None: solved)."""
        level, domain, variant = choice
        task = frame.task
        frame.level = level
        lo, hi = self.index.range(level, domain)
        if not task.scopes:
            packed, rest, wished = task.loose, frame.rest, max(task.wished, level)
        else:
            scope = task.scopes[0]
            own, loose = self._parts(scope, level, lo, hi)
            if own:
                return True, self._open(scope, own, loose, (lo, hi, level), self._others(task, 1, frame.rest))
            count = len(task.scopes)
            if count > 1:
                copies = self.capacity.copies(self.lanes, scope, level, lo, hi, count)
                count = max(int(copies[0]), 1) if variant == 0 else 1
            packed, rest, wished = task.scopes[:count], self._others(task, count, frame.rest), max(scope.wished, level)
        ask = packed[0].ask if len(packed) == 1 else _joined([s.ask for s in packed])
        need = packed[0].need if len(packed) == 1 else self.lanes.need(ask)
        slots = self.packer.pack(ask, need, lo, hi, level, wished, self._touched(task, stack), variant)
        if slots is None:
            return False, None
        frame.slots, frame.packed = slots, packed
        self._take(slots)
        return True, rest

    @staticmethod
    def _others(task: Task, done: int, rest: Agenda) -> Agenda:
        """The scopes of the task that are still to be placed, then the rest."""
        left = task.scopes[done:]
        return (Task(task.lo, task.hi, task.level, task.wished, scopes=left), rest) if left else rest

    @staticmethod
    def _open(
        scope: Scope, own: list[list[Scope]], loose: list[Scope], domain: tuple[int, int, int], rest: Agenda
    ) -> Agenda:
        """The parts of a scope whose domain is chosen, as tasks, before the rest."""
        agenda = (Task(*domain, scope.wished, loose=loose), rest) if loose else rest
        for alike in reversed(own):
            agenda = (Task(*domain, scope.wished, scopes=alike), agenda)
        return agenda

    def _take(self, slots: list[Slot]) -> None:
        claims: list[tuple[int, tuple[Claim, ...]]] = []
        if len(slots) == 1:
            shape, at, counts = slots[0]
            rows = self.index.perm[at]
            amounts: Ints = np.array(counts, dtype=np.int64)[:, None] * shape.request
        else:
            width = len(self.table.resources)
            taken: dict[int, list[int]] = {}
            for shape, at, counts in slots:
                for position, count in zip(at, counts, strict=True):
                    amount = taken.setdefault(position, [0] * width)
                    for column, each in shape.asked:
                        amount[column] += count * each
            rows = self.index.perm[list(taken)]
            amounts = np.array(list(taken.values()), dtype=np.int64)
        for shape, at, _ in slots:
            if shape.claims:
                claims += [(row, shape.claims) for row in self.index.perm[at].tolist()]
        if len(rows):
            self.table.take(rows, amounts, claims)

    def _parts(self, scope: Scope, level: int, lo: int, hi: int) -> tuple[list[list[Scope]], list[Scope]]:
        """Children that need a narrower domain, equal ones together and most constrained first; and the others."""
        loose: list[Scope] = []
        own: dict[tuple[object, ...], list[Scope]] = {}
        for child in [] if scope.unit else narrower(scope, level):
            if is_loose(child, level):
                loose.append(child)
            else:
                own.setdefault(child.signature, []).append(child)
        if len(own) < 2:
            return list(own.values()), loose

        def constraint(alike: list[Scope]) -> tuple[object, ...]:
            child = alike[0]
            ranking = Ranking(self.capacity, self.lanes, child, max(child.required, level), level, lo, hi)
            biggest = max((tuple(sorted(s.request.tolist(), reverse=True)) for s, _ in child.ask), default=())
            return not child.anchors, len(ranking.ids()), tuple(-x for x in biggest), -child.pods, child.name

        return sorted(own.values(), key=constraint), loose

    def _touched(self, task: Task, stack: list[Frame]) -> set[int]:
        """Positions where this gang has pods already, bound or just placed."""
        found = {p for frame in stack for _, at, _ in frame.slots for p in at}
        anchors = [row for scope in task.scopes or task.loose for row in scope.anchors]
        if anchors:
            found.update(self.index.position[anchors].tolist())
        return found

    # ── options ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _options(self, task: Task, stack: list[Frame], lookahead: Scope | None) -> Iterator[Option]:
        """Domains to try: finest wished level first, and within a level the best-looking first."""
        if task.hi <= task.lo:
            return
        if not task.scopes:
            enclosing = int(self.index.dom[task.level][task.lo])
            yield from ((task.level, enclosing, v) for v in range(VARIANTS))
            return
        scope = task.scopes[0]
        required = max(scope.required, task.level)
        touched = self._touched(task, stack)
        finest = max(scope.wished, required)
        if not stack and not scope.anchors:
            finest = max(finest, min(self.liking.spread_level, self.index.host - 1))
        for level in range(finest, required - 1, -1):
            ranking = Ranking(self.capacity, self.lanes, scope, level, task.level, task.lo, task.hi, self.liking)
            tried: list[int] = []
            for domain in ranking.best_first(lookahead, touched, task.wished, len(task.scopes)):
                tried.append(domain)
                yield level, domain, 0
            if scope.unit or all(is_loose(child, level) for child in narrower(scope, level)):
                yield from ((level, domain, v) for v in range(1, VARIANTS) for domain in tried)

    def _holds(self, scope: Scope, option: Option) -> bool:
        """Could the option's domain hold the scope, as far as the necessary tests tell?"""
        level, domain, _ = option
        return bool(self.capacity.wholes(self.lanes, scope, level, *self.index.range(level, domain)).all())

    def holds_anywhere(self, lanes: Lanes, scope: Scope) -> bool:
        """Could some domain of the scope's required level hold it? False is a proof that none can."""
        copies = self.capacity.wholes(lanes, scope, scope.required, 0, len(self.table))
        allowed = self.capacity.anchored(scope, scope.required, 0, len(self.table))
        return bool((copies if allowed is None else copies * allowed).any())


def _joined(asks: list[Demand]) -> Demand:
    if len(asks) == 1:
        return asks[0]
    merged: dict[int, tuple[Shape, int]] = {}
    for shape, n in (entry for ask in asks for entry in ask):
        merged[shape.number] = (shape, n + merged.get(shape.number, (shape, 0))[1])
    return list(merged.values())
