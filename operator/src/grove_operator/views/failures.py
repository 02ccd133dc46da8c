"""What LastFailure conditions tell, for people: which unit, which member of it, its exit code and its last words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from grove_operator.api import conditions
from grove_operator.api.constants import CONDITION_LAST_FAILURE
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.views.placement import TreeNode


@dataclass(frozen=True, slots=True)
class ToldFailure:
    """`of`: the unit, such as "podclique web-0-decode". `is_past`: all of it is well again. `at`: when it failed, or,
    if that is past, when all was well again."""

    of: str
    at: str
    is_past: bool
    reason: str
    sentence: str
    last_words: tuple[str, ...]

    def to_json(self) -> Json:
        said: Json = {"of": self.of, "at": self.at, "past": self.is_past, "reason": self.reason}
        return {**said, "message": self.sentence, "lastWords": list(self.last_words)}

    def tree(self) -> TreeNode:
        when = f"all well since {self.at}" if self.is_past else f"since {self.at}"
        words = tuple(TreeNode("|", "", (line,)) for line in self.last_words)
        return TreeNode("last failure", self.of, (self.sentence, when), "plain" if self.is_past else "bad", words)


def told_failures(objects: Iterable[Json]) -> list[ToldFailure]:
    """Of sets, groups and PodCliques, the same failure once: where it stands on the smallest unit of them."""
    found: dict[str, ToldFailure] = {}
    for obj in objects:
        said = conditions.find(obj, CONDITION_LAST_FAILURE)
        if said is None:
            continue
        sentence, *words = said["message"].splitlines() or [""]
        of = f"{obj['kind'].lower()} {obj['metadata']['name']}"
        is_past = said["status"] != "True"
        found[sentence] = ToldFailure(of, said["lastTransitionTime"], is_past, said["reason"], sentence, tuple(words))
    return list(found.values())


def with_failures(trees: Iterable[TreeNode], sets: Iterable[Json]) -> list[TreeNode]:
    """The trees of PodCliqueSets, each with what it still suffers from as its first branch."""
    suffered = {
        f"{pcs['metadata'].get('namespace', 'default')}/{pcs['metadata']['name']}": tuple(
            told.tree() for told in told_failures([{**pcs, "kind": POD_CLIQUE_SET.kind}]) if not told.is_past
        )
        for pcs in sets
    }
    return [replace(tree, children=(*suffered.get(tree.name, ()), *tree.children)) for tree in trees]
