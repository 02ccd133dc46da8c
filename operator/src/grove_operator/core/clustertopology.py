"""A ClusterTopologyBinding: the schedulers' own topology objects, kept or compared (grove-behaviour 9.7).

    no entry for the scheduler    its object bears the binding's name and is kept in step
    entry                         the object that it names is somebody else's: only compared

A scheduler that the cluster does not have (its kind is not served) has nothing to be in step with: it is left out
unless an entry asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import CONDITION_TOPOLOGY_DRIFT
from grove_operator.api.kinds import Json
from grove_operator.core import kai
from grove_operator.core.backends import BACKENDS
from grove_operator.core.objects import controller_uid
from grove_operator.core.observed import Trouble
from grove_operator.core.outcome import EventSpec, Outcome
from grove_operator.core.settings import Settings


@dataclass(frozen=True)
class TopologyView:
    """A binding `obj`; `live` are topology objects by (scheduler, name), `served` the schedulers with such a kind."""

    obj: Json
    live: Mapping[tuple[str, str], Json] = field(default_factory=dict)
    served: frozenset[str] = frozenset()
    troubles: Sequence[Trouble] = ()


def reconcile(view: TopologyView, now: datetime, settings: Settings) -> Outcome:
    """Topology objects of the auto-managed schedulers, and a status with one entry for each scheduler."""
    children: list[Json] = []
    entries: list[Json] = []
    external = {
        entry["schedulerName"]: entry["topologyReference"]
        for entry in view.obj["spec"].get("schedulerTopologyBindings") or ()
    }
    names = {name for name in settings.backends if name in BACKENDS and BACKENDS[name].topology(view.obj)}
    for name in sorted(names | set(external)):
        wanted = BACKENDS[name].topology(view.obj) if name in names else None
        if name in external:
            entries.append(_compared(view, name, external[name], wanted))
        elif name in view.served and wanted:
            children.append(wanted)
            entries.append(_kept(view, name, wanted))
    status, events = _status(view, entries, now)
    return Outcome(tuple(children), status, events=tuple(events))


def _kept(view: TopologyView, scheduler: str, wanted: Json) -> Json:
    name = wanted["metadata"]["name"]
    live = view.live.get((scheduler, name))
    if view.troubles:
        return _entry(scheduler, name, "; ".join(trouble.description for trouble in view.troubles))
    if live is None:
        return _entry(scheduler, name, f"topology {name} is not made yet")
    if controller_uid(live) != view.obj["metadata"]["uid"]:
        return _entry(scheduler, name, f"topology {name} belongs to somebody else; delete it or bind it explicitly")
    return _difference(scheduler, name, live, wanted)


def _compared(view: TopologyView, scheduler: str, name: str, wanted: Json | None) -> Json:
    if wanted is None or scheduler not in view.served:
        return _entry(scheduler, name, f"scheduler {scheduler} is not available here")
    live = view.live.get((scheduler, name))
    if live is None:
        return _entry(scheduler, name, f"topology {name} does not exist; create it", generation=0)
    return _difference(scheduler, name, live, wanted)


def _difference(scheduler: str, name: str, live: Json, wanted: Json) -> Json:
    generation = live["metadata"].get("generation", 0)
    found, expected = kai.level_keys(live), kai.level_keys(wanted)
    if found == expected:
        return _entry(scheduler, name, generation=generation)
    text = f"topology {name} has levels {', '.join(found) or 'none'}, the binding {', '.join(expected)}"
    return _entry(scheduler, name, text, generation=generation)


def _entry(scheduler: str, name: str, message: str = "", *, generation: int | None = None) -> Json:
    said: Json = {"schedulerName": scheduler, "topologyReference": name, "inSync": not message}
    if generation is not None:
        said["schedulerBackendTopologyObservedGeneration"] = generation
    return {**said, "message": message} if message else said


def _status(view: TopologyView, entries: list[Json], now: datetime) -> tuple[Json, list[EventSpec]]:
    old = view.obj.get("status") or {}
    generation = view.obj["metadata"].get("generation", 1)
    status = {**old, "schedulerTopologyStatuses": entries}
    if not view.troubles:
        status["observedGeneration"] = generation
    kept = [c for c in old.get("conditions") or () if c["type"] != CONDITION_TOPOLOGY_DRIFT or entries]
    said = _drift(view, entries, generation)
    status["conditions"] = conditions.merged(kept, [said] if said else [], now)
    before = (conditions.find(view.obj, CONDITION_TOPOLOGY_DRIFT) or {}).get("status")
    events = []
    if said and before is not None and said["status"] != before:
        if said["status"] == "True":
            events.append(EventSpec(view.obj, "TopologyDriftDetected", said["message"], is_warning=True))
        elif said["status"] == "False":
            events.append(EventSpec(view.obj, "TopologyInSync", said["message"]))
    return {key: value for key, value in status.items() if value != []}, events


def _drift(view: TopologyView, entries: list[Json], generation: int) -> Json | None:
    if not entries:
        return None

    def say(status: bool | None, reason: str, message: str) -> Json:
        return conditions.condition(CONDITION_TOPOLOGY_DRIFT, status, reason, message, observed_generation=generation)

    off = [entry for entry in entries if not entry["inSync"]]
    text = "; ".join(f"{entry['schedulerName']}: {entry['message']}" for entry in off)
    if any(entry.get("schedulerBackendTopologyObservedGeneration", 0) == 0 for entry in off):
        return say(None, "TopologyNotFound", text)
    if off:
        return say(True, "Drift", text)
    return say(False, "InSync", "every scheduler's topology has the levels of this binding")
