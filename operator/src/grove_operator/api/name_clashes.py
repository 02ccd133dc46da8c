"""Whether two parts of one PodCliqueSet could ever get the same object name.

Names are put together from parts that may themselves hold hyphens and numbers (`names.py`):

    group a,  member b,  its replica 0    <set>-<i>-a-0-b
    standalone clique a-0-b               <set>-<i>-a-0-b        the same PodClique

A name is a list of words between hyphens, of which some are any index. Two such lists can become the same name exactly
when they have the same length and fit word by word, because no index holds a hyphen. The set's own name comes first in
each, so it can be left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from grove_operator.api.faults import Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet, ResourceSharingBase
from grove_operator.api.syntax import text

TEMPLATE = "spec.template"
MOST_TOLD = 50
_INDEX = re.compile(r"0|[1-9][0-9]*")
Word = str | None
"""None is any index."""
Words = tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """All names that one part's objects of one kind can have, after the set's name."""

    kind: str
    field: str
    part: str
    words: Words

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
    """Of PodCliques, scaling groups, PodGangs, autoscalers (which are called as what they scale) and shared claims."""
    template = pcs.spec.template
    groups = template.pod_clique_scaling_groups or []
    owners = {name: group for group in groups for name in group.clique_names}
    yield from _claims(f"{TEMPLATE}.resourceSharing", "the set", (), template.resource_sharing)
    for i, clique in enumerate(template.cliques):
        field, part = path(TEMPLATE, "cliques", i, "name"), f"clique {clique.name}"
        if (group := owners.get(clique.name)) is None:
            words: Words = (None, *clique.name.split("-"))
            if clique.spec.auto_scaling_config:
                yield Shape("HorizontalPodAutoscaler", field, part, words)
        else:
            part += f" of scaling group {group.name}"
            words = (None, *group.name.split("-"), None, *clique.name.split("-"))
        yield Shape("PodClique", field, part, words)
        yield from _claims(path(TEMPLATE, "cliques", i, "resourceSharing"), part, words, clique.resource_sharing)
    for i, group in enumerate(groups):
        field, part = path(TEMPLATE, "podCliqueScalingGroups", i, "name"), f"scaling group {group.name}"
        words = (None, *group.name.split("-"))
        yield Shape("PodCliqueScalingGroup", field, part, words)
        yield Shape("PodGang", field, part, (*words, None))
        if group.scale_config:
            yield Shape("HorizontalPodAutoscaler", field, part, words)
        shared = path(TEMPLATE, "podCliqueScalingGroups", i, "resourceSharing")
        yield from _claims(shared, part, words, group.resource_sharing)


def _claims(field: str, owner: str, words: Words, entries: Sequence[ResourceSharingBase] | None) -> Iterator[Shape]:
    """Claims of the owner whose own name is `words`: one for all its replicas, or one for each."""
    for i, entry in enumerate(entries or ()):
        which: Word = "all" if entry.scope == "AllReplicas" else None
        part = f"claim {entry.name} of {owner}"
        yield Shape("ResourceClaim", path(field, i, "name"), part, (*words, which, *entry.name.split("-")))


def clash_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """One fault for each part, up to fifty, whose objects could be called as those of a part before it."""
    name, every = text(pcs.metadata, "name") or "<name>", list(shapes(pcs))
    for later, first in sorted(_clashes(every).items()):
        one, other = every[first], every[later]
        fact = f"{other.part} and {one.part} would both need the {one.kind} {name}-{one.shared_with(other)}"
        yield Fault(other.field, "Invalid", fact, "rename one of them")


def _clashes(every: Sequence[Shape]) -> dict[int, int]:
    """Position of a shape to that of the first one before it that it can equal.

    Shapes are looked up by the words that they have where the others have words too, so that a thousand cliques cost a
    thousand looks and not a million comparisons.
    """
    alike: dict[tuple[str, tuple[bool, ...]], list[int]] = {}
    for position, shape in enumerate(every):
        alike.setdefault((shape.kind, tuple(word is None for word in shape.words)), []).append(position)
    found: dict[int, int] = {}
    for (kind, mask), (other_kind, other_mask) in combinations_with_replacement(alike, 2):
        if kind != other_kind or len(mask) != len(other_mask):
            continue
        words = [i for i, index in enumerate(zip(mask, other_mask, strict=True)) if not any(index)]
        table: dict[Words, list[int]] = {}
        for position in alike[kind, mask]:
            table.setdefault(tuple(every[position].words[i] for i in words), []).append(position)
        for position in alike[other_kind, other_mask]:
            for other in table.get(tuple(every[position].words[i] for i in words), ()):
                if every[position].part != every[other].part and every[position].can_equal(every[other]):
                    first, later = sorted((position, other))
                    found[later] = min(first, found.get(later, first))
                    if len(found) == MOST_TOLD:
                        return found
    return found
