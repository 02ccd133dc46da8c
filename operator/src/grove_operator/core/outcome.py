"""What a reconciler answers: the whole wish, never half of it."""

from __future__ import annotations

from dataclasses import dataclass

from grove_operator.api.kinds import Json, ObjectKey
from grove_operator.core.observed import Trouble


@dataclass(frozen=True, slots=True)
class EventSpec:
    """A core/v1 Event to be written about `about`; `is_warning` picks the type."""

    about: Json
    reason: str
    message: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the replicas of an object that somebody else owns, as its scale subresource would; `field` is where."""

    target: ObjectKey
    replicas: int
    field: tuple[str, ...] = ("spec", "replicas")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`children` is complete: what is observed and absent here gets deleted.

    A child says only what its owner wants to hold: other fields of the live object are left alone. A null value in a
    child means: must be absent. A child's `status` is for objects whose status the owner shares. `status` is the
    reconciled object's own, whole; None leaves it alone. `is_starting` says that it comes up for the first
    time and will soon change by itself, so that writing it can wait. `doomed`: objects at one remove, owned by what
    the reconciled object owns, that must go now. `is_urgent`: the status is a decision that others wait for.
    `once` are objects to make where none has their name; nobody owns them, and they are never changed afterwards.
    `finalizers`: those that remain on the reconciled object; None leaves them alone.
    `kept` stay if they exist, as they are, and are not made. `troubles` keep something from being wished for; they are
    shown like refused writes, and what they are about is looked at again when it changes.
    """

    children: tuple[Json, ...] = ()
    status: Json | None = None
    wake_after_s: float | None = None
    events: tuple[EventSpec, ...] = ()
    scales: tuple[Scale, ...] = ()
    is_starting: bool = False
    doomed: tuple[ObjectKey, ...] = ()
    is_urgent: bool = False
    once: tuple[Json, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    kept: tuple[ObjectKey, ...] = ()
    finalizers: tuple[str, ...] | None = None
