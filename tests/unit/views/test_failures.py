"""LastFailure conditions for people."""

from __future__ import annotations

from grove_operator.api.kinds import Json
from grove_operator.engine.whatif.explanation import GangExplanation
from grove_operator.scheduler.explain import Explanation
from grove_operator.views.failures import told_failures, with_failures
from grove_operator.views.placement import TreeNode
from grove_operator.views.whatif import explanation_tree

AT = "2026-01-01T08:00:00Z"


def unit(kind: str, name: str, status: str, message: str) -> Json:
    said = {"type": "LastFailure", "status": status, "reason": "Error", "message": message, "lastTransitionTime": AT}
    return {"kind": kind, "metadata": {"name": name}, "status": {"conditions": [said]}}


def test_a_failure_is_told_once_for_the_smallest_unit_that_has_it() -> None:
    objects = [unit("PodCliqueSet", "web", "True", "pod x: Evicted\nlow memory"), {"kind": "PodClique", "metadata": {}}]
    objects.append(unit("PodClique", "web-0-a", "True", "pod x: Evicted\nlow memory"))
    objects.append(unit("PodClique", "web-0-b", "False", "pod y: Evicted"))
    first, second = told_failures(objects)
    assert (first.of, first.sentence, first.last_words) == ("podclique web-0-a", "pod x: Evicted", ("low memory",))
    assert (second.of, second.is_past) == ("podclique web-0-b", True)


def test_explain_shows_it_also_of_a_gang_that_is_placed() -> None:
    told = told_failures([unit("PodClique", "web-0-a", "True", "pod x: Evicted\nlow memory")])
    tree = explanation_tree(GangExplanation("ml", "web-0", True, (), Explanation("ml/web-0")), told)
    (node,) = tree.children
    assert (node.kind, node.name, node.facts) == (
        "last failure",
        "podclique web-0-a",
        ("pod x: Evicted", f"since {AT}"),
    )
    assert [child.facts for child in node.children] == [("low memory",)]


def test_a_tree_begins_with_what_its_set_still_suffers_from() -> None:
    sets = [
        unit("PodCliqueSet", "web", "True", "pod x: Evicted"),
        unit("PodCliqueSet", "api", "False", "pod y: Evicted"),
    ]
    for pcs in sets:
        pcs["metadata"]["namespace"] = "ml"
    gang = TreeNode("podgang", "web-0")
    trees = [TreeNode("podcliqueset", f"ml/{name}", children=(gang,)) for name in ("web", "api")]
    first, second = with_failures(trees, sets)
    assert [child.kind for child in first.children] == ["last failure", "podgang"]
    assert second.children == (gang,)
