"""What an update must know that makes further replicas: which pods find no place, and what can't be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import CONDITION_PODGANG_SCHEDULED, LABEL_POD_GANG
from grove_operator.api.kinds import POD, POD_GANG, Json
from grove_operator.core import podstate
from grove_operator.core.objects import controller_uid, is_terminating, label
from grove_operator.core.observed import SetView, Trouble
from grove_operator.core.surge import indices, replica_of
from grove_operator.core.template import Template
from grove_operator.engine.cache import ASKED, Cache
from grove_operator.engine.keys import Key


def with_surge(cache: Cache, view: SetView, troubles: Callable[[Key], Iterable[Trouble]], now: datetime) -> SetView:
    """`troubles`: the writes of a key that failed at the last attempt."""
    template, first = view.template, view.template.replicas
    pods = [o for c in view.cliques.values() for o in cache.owned(c["metadata"]["uid"]) if o["kind"] == POD.kind]
    refused = sorted(
        (pod for pod in pods if podstate.is_active(pod) and podstate.is_refused(pod)),
        key=lambda pod: (replica_of(pod) < first, pod["metadata"]["name"]),
    )
    keys = (Key("replica", template.namespace, template.name, i) for i in indices(template)[first:])
    found = [trouble for key in keys for trouble in troubles(key)]
    return replace(
        view,
        refused=tuple(refused),
        refusals={pod["metadata"]["name"]: _refusal(cache, template, pod) for pod in refused},
        clears_at=max((_gone_at(pod, now) for pod in pods if is_terminating(pod)), default=None),
        surge_troubles=(*found, *_last_errors(view)),
    )


def _gone_at(pod: Json, now: datetime) -> datetime:
    """A deletion that was only asked for yet begins now."""
    at = pod["metadata"]["deletionTimestamp"]
    return now if at == ASKED else datetime.fromisoformat(at)


def _last_errors(view: SetView) -> Iterator[Trouble]:
    """Of the parts of further replicas."""
    for part in (*view.cliques.values(), *view.groups.values()):
        if replica_of(part) >= view.template.replicas:
            for error in (part.get("status") or {}).get("lastErrors") or ():
                yield Trouble(error["code"], error["description"])


def _refusal(cache: Cache, template: Template, pod: Json) -> str:
    """The scheduler's words on the gang of the pod, or on the pod where it says nothing of gangs."""
    gang = cache.get(POD_GANG, template.namespace, label(pod, LABEL_POD_GANG))
    is_ours = gang is not None and controller_uid(gang) == template.uid
    said = conditions.find(gang, CONDITION_PODGANG_SCHEDULED) if is_ours else None
    if said is None or said["status"] != "False":
        said = conditions.find(pod, "PodScheduled")
    return str((said or {}).get("message", ""))
