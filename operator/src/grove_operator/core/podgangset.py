"""A PodGangSet becomes a PodCliqueSet of the same name, once; its condition says how that went and what was lost.

    Converted   True     Converted             the PodCliqueSet was made; whatever becomes of it later
                False    NameTaken             another PodCliqueSet has the name
                         Refused               it was not admitted
                         Pending               it is being made
    Lossless    False    FieldsNotCarried      what the PodCliqueSet cannot say, one sentence for each

The PodCliqueSet is not owned by the PodGangSet: whoever deletes the old object keeps the workload.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import ANNOTATION_CONVERTED_FROM, CONDITION_CONVERTED, CONDITION_LOSSLESS
from grove_operator.api.kinds import Json
from grove_operator.api.podgangset_conversion import Conversion, converted
from grove_operator.core.observed import Trouble
from grove_operator.core.outcome import Outcome


@dataclass(frozen=True)
class FormerView:
    """`obj` is the PodGangSet, `live` the PodCliqueSet of its name, if there is one."""

    obj: Json
    live: Json | None = None
    troubles: tuple[Trouble, ...] = ()


def reconcile(view: FormerView, now: datetime) -> Outcome:
    """Nothing to make once it has been converted, even if the PodCliqueSet is gone since."""
    conversion = converted(view.obj)
    is_done = conditions.is_true(view.obj, CONDITION_CONVERTED) or _is_ours(view)
    make = () if is_done or view.live is not None else (conversion.pod_clique_set,)
    return Outcome(once=make, status=_status(view, conversion, now, is_done=is_done))


def _is_ours(view: FormerView) -> bool:
    annotations = (view.live or {}).get("metadata", {}).get("annotations") or {}
    return bool(annotations.get(ANNOTATION_CONVERTED_FROM) == view.obj["metadata"]["uid"])


def _status(view: FormerView, conversion: Conversion, now: datetime, *, is_done: bool) -> Json:
    old = view.obj.get("status") or {}
    generation = view.obj["metadata"].get("generation", 1)
    name = view.obj["metadata"]["name"]
    reason, message = "Converted", f"podcliqueset {name} was made from it; change that one"
    if not is_done and view.live is not None:
        reason, message = "NameTaken", f"podcliqueset {name} exists and was not made from it; delete or rename one"
    elif not is_done and view.troubles:
        reason, message = "Refused", "; ".join(trouble.description for trouble in view.troubles)[:1000]
    elif not is_done:
        reason, message = "Pending", f"podcliqueset {name} is being made"
    said = [conditions.condition(CONDITION_CONVERTED, is_done, reason, message, observed_generation=generation)]
    if conversion.lost:
        text = "; ".join(conversion.lost)[:2000]
        said.append(conditions.condition(CONDITION_LOSSLESS, False, "FieldsNotCarried", text))
    return {**old, "conditions": conditions.merged(old.get("conditions"), said, now)}
