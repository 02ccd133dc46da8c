"""The condition NameTaken: a generated object's name belongs to somebody else's object.

Names of one set never collide among themselves (admission sees to it, `api.name_clashes`), but those of two sets can:
`web` with clique `0-a` and `web-0` with clique `a` both need the PodClique `web-0-0-a`. The first to come keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable

from grove_operator.api import conditions
from grove_operator.api.constants import CONDITION_NAME_TAKEN
from grove_operator.api.kinds import Json
from grove_operator.core.observed import OWNERSHIP_CONFLICT, Trouble


def without_name_taken(old: Iterable[Json] | None) -> list[Json]:
    return [condition for condition in old or () if condition["type"] != CONDITION_NAME_TAKEN]


def name_taken(troubles: Iterable[Trouble], generation: int) -> list[Json]:
    """The condition while names are taken, else nothing."""
    taken = sorted({trouble.description for trouble in troubles if trouble.code == OWNERSHIP_CONFLICT})
    if not taken:
        return []
    message = "; ".join(taken)[:2000]
    return [
        conditions.condition(CONDITION_NAME_TAKEN, True, "OwnedBySomebodyElse", message, observed_generation=generation)
    ]
