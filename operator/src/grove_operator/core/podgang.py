"""A live PodGang: what its scheduler wants beside it (grove-behaviour 4.6)."""

from __future__ import annotations

from grove_operator.api.constants import LABEL_SCHEDULER_NAME
from grove_operator.api.kinds import Json
from grove_operator.core.backends import backend_of
from grove_operator.core.objects import label
from grove_operator.core.observed import Trouble
from grove_operator.core.outcome import EventSpec, Outcome
from grove_operator.core.settings import Settings


def reconcile(gang: Json, settings: Settings) -> Outcome:
    """The scheduler's own objects. What can't be expressed is told in an event, and nothing is made."""
    backend = backend_of(label(gang, LABEL_SCHEDULER_NAME) or settings.scheduler_name, settings.backends)
    try:
        return Outcome(backend.gang_objects(gang))
    except ValueError as error:
        told = EventSpec(gang, "KAIBackendMappingFailed", str(error), is_warning=True)
        return Outcome(events=(told,), troubles=(Trouble("ERR_SYNC_PODGANG", str(error)),))
