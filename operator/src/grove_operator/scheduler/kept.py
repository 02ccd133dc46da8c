"""Room that gangs on their way back keep, within one decision, from all that come after them in the order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from grove_operator.scheduler.nodes import Ints, NodeTable


class Kept:
    """By gang; the table looks full to others until `release`."""

    def __init__(self, table: NodeTable) -> None:
        self._table = table
        self._held: dict[str, list[tuple[Ints, Ints]]] = {}

    @property
    def gangs(self) -> tuple[str, ...]:
        """Those that keep anything, or would."""
        return tuple(sorted(self._held))

    def keep(self, gang: str, rows: Iterable[int]) -> None:
        """What is free on these rows now."""
        held = self._held.setdefault(gang, [])
        if wanted := sorted(set(rows)):
            at = np.array(wanted, dtype=np.int64)
            held.append((at, self._table.hold(at)))

    def release(self) -> None:
        for rows, kept in (entry for entries in self._held.values() for entry in entries):
            self._table.release(rows, kept)
