"""Members beyond the minima ("extras"): the gang runs without them, so they are placed by the piece, as many as fit.

    followers     their predecessors had a place: they come right after the minima of gangs that return, priority by
                  priority, or wait for that place (`home`)
    all others    when all minima stand: all of them if they fit, else one for each podgroup in turn

What stands of the gang binds them (anchors). Those without a place are refused in `Refusal.pods`; the gang stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from grove_operator.scheduler.drain import hosts_with_room
from grove_operator.scheduler.judge import constrained
from grove_operator.scheduler.model import Gang, Member, comes_later
from grove_operator.scheduler.refusal import explain, unsupported
from grove_operator.scheduler.scopes import NOWHERE
from grove_operator.scheduler.session import Session


class Extras:
    """Of one decision. All gangs that are handed in have minima that stand, but in `keep_for_followers`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._going_back: set[tuple[str, str]] = set()
        """Gang and podgroup of which members beyond the minimum wait to go back."""

    def place(self, gangs: Sequence[Gang]) -> None:
        """All of them if they fit; else one for each podgroup in turn, so that no gang takes what all could share."""
        waiting: list[tuple[Gang, str, list[Member]]] = []
        for gang in gangs:
            for group in gang.podgroups:
                extras = self._extras(gang, group.name)
                refused = [m for m in extras if m.needs.unsupported]
                if refused:
                    refusal = unsupported(gang, refused[0], f"podgroup {group.name}", is_extra=True)
                    self._session.refusals.append(refusal)
                if len(extras) > len(refused) and (gang.key, group.name) not in self._going_back:
                    waiting.append((gang, group.name, [m for m in extras if not m.needs.unsupported]))
        if not waiting or self._place_all(waiting):
            return
        while waiting:
            waiting = [entry for entry in waiting if self._place_next(*entry)]

    def place_followers(self, gangs: Sequence[Gang]) -> None:
        """Members beyond the minima that follow others. Who finds no place is told so in the turn of all extras.

        Where a level is wished for they wait together rather than stand apart; else only those wait that must.
        """
        for gang in gangs:
            for group in gang.podgroups:
                left = len(self._followers(gang, group.name))
                if left and not self._go_back(gang, group.name, left, only_levels=True):
                    if self._place_members(gang, group.name, left):
                        continue
                    while left and self._place_members(gang, group.name, 1):
                        left -= 1
                    self._go_back(gang, group.name, left)

    def keep_for_followers(self, gang: Gang) -> None:
        """Its minima wait, and so members beyond them have to: theirs may be another place than they had."""
        for group in gang.podgroups:
            if count := len(self._followers(gang, group.name)):
                search, tree = self._session.prepare(gang, {group.name: count})
                if tree.demand:
                    self._session.kept.keep(gang.key, hosts_with_room(search, tree).tolist())

    def _go_back(self, gang: Gang, name: str, count: int, *, only_levels: bool = False) -> bool:
        if not gang.leaving or not count:
            return False
        search, tree = self._session.prepare(gang, {name: count})
        if (only_levels and not constrained(tree)) or not self._session.goes_back(gang, tree, None, search):
            return False
        self._going_back.add((gang.key, name))
        return True

    def _extras(self, gang: Gang, name: str) -> list[Member]:
        group = next(g for g in gang.podgroups if g.name == name)
        placed = self._session.where.get(gang.key, NOWHERE)
        found = [m for m in group.members if m.node is None and not m.is_gated and m.key not in placed]
        return sorted(found, key=comes_later)

    def _followers(self, gang: Gang, name: str) -> list[Member]:
        return [m for m in self._extras(gang, name) if m.former is not None and not m.needs.unsupported]

    def _place_all(self, waiting: Sequence[tuple[Gang, str, list[Member]]]) -> bool:
        session = self._session
        mark, known = session.table.mark(), len(session.assignments)
        before = {gang.key: dict(session.where.get(gang.key, {})) for gang, _, _ in waiting}
        for gang, name, members in waiting:
            if not self._place_members(gang, name, len(members)):
                session.table.undo(mark)
                del session.assignments[known:]
                session.where.update(before)
                return False
        return True

    def _place_next(self, gang: Gang, name: str, members: list[Member]) -> bool:
        """Places one more; False when that was the last, or when there is no room for it, which is then told."""
        if self._place_members(gang, name, 1):
            del members[0]
            return bool(members)
        search, tree = self._session.prepare(gang, {name: 1})
        self._session.refusals.append(explain(gang, tree, search, pods=tuple(m.key for m in members)))
        return False

    def _place_members(self, gang: Gang, name: str, count: int) -> bool:
        search, tree = self._session.prepare(gang, {name: count})
        solution = search.place(tree, None, self._session.liking(gang, search.index))
        if solution is not None:
            self._session.record(gang, solution.placed, is_minimum=False)
        return solution is not None
