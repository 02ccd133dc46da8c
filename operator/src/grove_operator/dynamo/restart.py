"""A restart as a walk over the components: one after the other, or all at once (dynamo reference 2.5).

    whose turn it is carries `nvidia.com/restartAt: <id>`, which rolls its pods; the next one follows when it is done
    done             every PodClique of the component carries the id, so do its pods, and the component is ready

Derived from what is observed alone, so that an operator that starts anew goes on where the last one was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grove_operator.api.constants import LABEL_POD_TEMPLATE_HASH
from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import Component
from grove_operator.dynamo.labels import RESTART
from grove_operator.dynamo.observed import GraphView

IsReady = Callable[[Component], bool]


@dataclass(frozen=True)
class Walk:
    """`marks`: by component, the id that its pods carry. `status`: of the restart; None when none was asked for."""

    marks: dict[str, str]
    status: Json | None


def walk(view: GraphView, is_ready: IsReady) -> Walk:
    """The next step. Marks of an earlier restart stay, or pods would roll without cause."""
    marks = _marks(view.pcs)
    before: Json | None = (view.dgd.get("status") or {}).get("restart")
    asked = view.graph.spec.get("restart")
    if not asked:
        if before and before.get("phase") in ("Pending", "Restarting"):
            before = {"observedID": before.get("observedID"), "phase": "Superseded"}
        return Walk(marks, before)
    wish, turn = str(asked["id"]), _order(view, asked)
    waiting = [c for c in turn if not _is_done(view, c, wish, is_ready)]
    is_parallel = (asked.get("strategy") or {}).get("type") == "Parallel"
    moving = waiting if is_parallel else waiting[:1]
    held = {c.name for c in waiting} - {c.name for c in moving}
    marks |= {c.name: wish for c in turn if c.name not in held}
    if not waiting:
        return Walk(marks, {"observedID": wish, "phase": "Completed"})
    has_begun = any(_marks(view.pcs).get(c.name) == wish for c in turn)
    phase = "Restarting" if has_begun else "Pending"
    return Walk(marks, {"observedID": wish, "phase": phase, "inProgress": [c.name for c in moving]})


def _order(view: GraphView, asked: Json) -> list[Component]:
    """As the strategy lists them, else by name."""
    listed = (asked.get("strategy") or {}).get("order") or []
    return sorted(view.graph.components, key=lambda c: (listed.index(c.name) if c.name in listed else -1, c.name))


def _is_done(view: GraphView, component: Component, wish: str, is_ready: IsReady) -> bool:
    members = view.members.get(component.name, ())
    return bool(members) and all(_has_rolled(member, wish) for member in members) and is_ready(component)


def _has_rolled(clique: Json, wish: str) -> bool:
    """It carries the id, and its counters speak of the template that does: they lag behind the annotation."""
    meta, status = clique["metadata"], clique.get("status") or {}
    if (meta.get("annotations") or {}).get(RESTART) != wish:
        return False
    return bool((meta.get("labels") or {}).get(LABEL_POD_TEMPLATE_HASH) == status.get("currentPodTemplateHash"))


def _marks(pcs: Json | None) -> dict[str, str]:
    """By component, the id that the live PodCliqueSet's templates carry."""
    found: dict[str, str] = {}
    for clique in pcs["spec"]["template"]["cliques"] if pcs else ():
        mark = (clique.get("annotations") or {}).get(RESTART)
        name = (clique.get("labels") or {}).get("nvidia.com/dynamo-component")
        if mark and name:
            found[name] = mark
    return found
