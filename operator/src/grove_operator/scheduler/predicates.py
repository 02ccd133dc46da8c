"""Which nodes a pod may run on at all, resources aside; and, when none, why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from grove_operator.scheduler.model import AVOIDS, MATCHES, Claim, Expression, Needs, Node, Taint, Toleration

HARD_EFFECTS = ("NoSchedule", "NoExecute")
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def eligible(needs: Needs, nodes: Sequence[Node]) -> NDArray[np.bool_]:
    """One claim per node. Nodes that look alike to these needs are judged once."""
    keys = _label_keys(needs)
    verdicts: dict[object, bool] = {}
    mask = np.zeros(len(nodes), dtype=bool)
    for i, node in enumerate(nodes):
        seen = (node.taints, node.unschedulable, node.ready, *(node.labels.get(k) for k in keys))
        if keys and "metadata.name" in keys:
            seen = (*seen, node.name)
        verdict = verdicts.get(seen)
        if verdict is None:
            verdict = verdicts[seen] = objection(needs, node) is None
        mask[i] = verdict
    return mask


def objection(needs: Needs, node: Node) -> str | None:
    """The first rule that keeps the pod off the node, in words that can be counted over nodes; None if none does."""
    if not node.ready:
        return "not ready"
    taints = (*node.taints, UNSCHEDULABLE) if node.unschedulable else node.taints
    for taint in taints:
        if taint.effect in HARD_EFFECTS and not any(tolerates(t, taint) for t in needs.tolerations):
            if taint == UNSCHEDULABLE:
                return "unschedulable (cordoned)"
            return f"untolerated taint {taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"
    if any(node.labels.get(k) != v for k, v in needs.selector):
        return "don't match the pod's nodeSelector"
    if needs.affinity is not None and not any(_matches_term(term, node) for term in needs.affinity):
        return "don't match the pod's node affinity"
    return None


def objections(needs: Needs, nodes: Sequence[Node]) -> Counter[str]:
    """How many nodes each rule turns away."""
    return Counter(why for node in nodes if (why := objection(needs, node)) is not None)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or (bool(toleration.key) and toleration.value == taint.value)


def claims_collide(wanted: Sequence[Claim], taken: Sequence[Claim]) -> bool:
    """Same protocol and port, and the same address or one of them 0.0.0.0; or a term of one that selects the other."""
    return any(a[1:] == b[1:] and _excludes(a[0], b[0]) for a in wanted for b in taken)


def _excludes(a: str, b: str) -> bool:
    if a in (AVOIDS, MATCHES) or b in (AVOIDS, MATCHES):
        return {a, b} == {AVOIDS, MATCHES}
    return a == b or "0.0.0.0" in (a, b)  # noqa: S104


def _label_keys(needs: Needs) -> tuple[str, ...]:
    keys = {k for k, _ in needs.selector}
    for term in needs.affinity or ():
        keys.update(e.key for e in term)
    return tuple(sorted(keys))


def _matches_term(term: Sequence[Expression], node: Node) -> bool:
    """An empty term matches no node, as in Kubernetes."""
    return bool(term) and all(_matches(e, node) for e in term)


def _matches(expression: Expression, node: Node) -> bool:
    value = node.name if expression.is_field else node.labels.get(expression.key)
    operator, values = expression.operator, expression.values
    if operator in ("Gt", "Lt"):
        return _compares(operator, value, values)
    rules: dict[str, Callable[[], bool]] = {
        "In": lambda: value is not None and value in values,
        "NotIn": lambda: value is None or value not in values,
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }
    return rules[operator]() if operator in rules else False


def _compares(operator: str, value: str | None, values: Sequence[str]) -> bool:
    try:
        left, right = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right
