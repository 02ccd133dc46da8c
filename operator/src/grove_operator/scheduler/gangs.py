"""The gangs that a solver knows: by key, by family (those of one PodCliqueSet replica), and by owner."""

from __future__ import annotations

from grove_operator.scheduler.model import Gang


class Gangs:
    """Follows changes one by one: `put`, `drop`."""

    def __init__(self) -> None:
        self.by_key: dict[str, Gang] = {}
        self._families: dict[str, list[str]] = {}
        self._owned: dict[str, set[str]] = {}

    def put(self, gang: Gang) -> bool:
        """A new gang, or what a known one is like now; True when a known one is of another family or owner now."""
        known = self.by_key.get(gang.key)
        moves = known is not None and (known.base_key != gang.base_key or known.owner != gang.owner)
        if moves:
            self.drop(gang.key)
        self.by_key[gang.key] = gang
        if gang.owner:
            self._owned.setdefault(gang.owner, set()).add(gang.key)
        family = self._families.setdefault(gang.base_key or gang.key, [])
        if gang.key not in family:
            family.append(gang.key)
            family.sort()
        return moves

    def drop(self, key: str) -> None:
        """Nothing is done when there is no such gang."""
        gang = self.by_key.pop(key, None)
        if gang is not None:
            if gang.owner:
                self._owned[gang.owner].discard(key)
            family = self._families[gang.base_key or key]
            family.remove(key)
            if not family:
                del self._families[gang.base_key or key]

    def family(self, gang: Gang) -> list[Gang]:
        """The other gangs of the same PodCliqueSet replica, by key."""
        keys = self._families.get(gang.base_key or gang.key, ())
        return [self.by_key[k] for k in keys if k != gang.key] if len(keys) > 1 else []

    def other_replicas(self, gang: Gang) -> list[Gang]:
        """Base gangs of the other replicas of its PodCliqueSet, by key; none when the gang names no owner."""
        root = gang.base_key or gang.key
        owned = (self.by_key[k] for k in sorted(self._owned[gang.owner] if gang.owner else ()) if k != root)
        return [other for other in owned if not other.base]
