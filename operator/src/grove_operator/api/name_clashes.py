"""Whether two parts of one PodCliqueSet could ever get the same object name.

Names are put together from parts that may themselves hold hyphens and numbers (`names.py`):

    group a,  member b,  its replica 0    <set>-<i>-a-0-b
    standalone clique a-0-b               <set>-<i>-a-0-b        the same PodClique

A name is a list of words between hyphens, of which some are any index. Two such lists can become the same name exactly
when they have the same length and fit word by word, because no index holds a hyphen. The set's own name and replica
index come first in each, so they can be left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from grove_operator.api.faults import Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.syntax import text

TEMPLATE = "spec.template"
_INDEX = re.compile(r"0|[1-9][0-9]*")
Word = str | None
"""None is any index."""


@dataclass(frozen=True, slots=True)
class Shape:
    """All names that one part's objects of one kind can have, below the set's name and replica index."""

    kind: str
    field: str
    part: str
    words: tuple[Word, ...]

    def can_equal(self, other: Shape) -> bool:
        return (
            self.kind == other.kind
            and len(self.words) == len(other.words)
            and all(_fit(a, b) for a, b in zip(self.words, other.words, strict=True))
        )

    def shared_with(self, other: Shape) -> str:
        """A name that both can have; N where any index will do."""
        words = (a if a is not None else b for a, b in zip(self.words, other.words, strict=True))
        return "-".join("N" if word is None else word for word in words)


def _fit(a: Word, b: Word) -> bool:
    if a is None or b is None:
        literal = a if a is not None else b
        return literal is None or bool(_INDEX.fullmatch(literal))
    return a == b


def shapes(pcs: PodCliqueSet) -> Iterator[Shape]:
    """Of PodCliques, scaling groups, scaled PodGangs and autoscalers (which are called as what they scale)."""
    template = pcs.spec.template
    groups = template.pod_clique_scaling_groups or []
    members = {name for group in groups for name in group.clique_names}
    for i, clique in enumerate(template.cliques):
        if clique.name in members:
            continue
        field, words = path(TEMPLATE, "cliques", i, "name"), tuple(clique.name.split("-"))
        yield Shape("PodClique", field, f"clique {clique.name}", words)
        if clique.spec.auto_scaling_config:
            yield Shape("HorizontalPodAutoscaler", field, f"clique {clique.name}", words)
    for i, group in enumerate(groups):
        field, words = path(TEMPLATE, "podCliqueScalingGroups", i, "name"), tuple(group.name.split("-"))
        yield Shape("PodCliqueScalingGroup", field, f"scaling group {group.name}", words)
        yield Shape("PodGang", field, f"scaling group {group.name}", (*words, None))
        if group.scale_config:
            yield Shape("HorizontalPodAutoscaler", field, f"scaling group {group.name}", words)
        for name in dict.fromkeys(group.clique_names):
            part = f"clique {name} of scaling group {group.name}"
            yield Shape("PodClique", field, part, (*words, None, *name.split("-")))


def clash_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """One fault for each pair of differently named parts whose objects could be called the same."""
    for one, other in combinations(shapes(pcs), 2):
        if one.part != other.part and one.can_equal(other):
            base = f"{text(pcs.metadata, 'name') or '<name>'}-N"
            fact = f"{other.part} and {one.part} would both need the {one.kind} {base}-{one.shared_with(other)}"
            yield Fault(other.field, "Invalid", fact, "rename one of them")
