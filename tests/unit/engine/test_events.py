"""Events are news: said once, and never more than an object can bear."""

from __future__ import annotations

from grove_operator.api.kinds import Json
from grove_operator.core.outcome import EventSpec
from grove_operator.engine.events import PER_OBJECT, SAME_NEWS_S, EventSource
from grove_operator.sim.clock import SimClock

CLIQUE: Json = {"apiVersion": "grove.io/v1alpha1", "kind": "PodClique", "metadata": {"name": "a", "uid": "u"}}


async def test_what_was_just_said_is_not_said_again_until_it_is_news_again() -> None:
    clock = SimClock()
    source, spec = EventSource(clock), EventSpec(CLIQUE, "PodCreateFailed", "quota exceeded", is_warning=True)
    assert source.manifest(spec) is not None
    await clock.advance(SAME_NEWS_S - 1)
    assert source.manifest(spec) is None
    assert source.manifest(EventSpec(CLIQUE, "PodCreateFailed", "no such account", is_warning=True)) is not None
    await clock.advance(2)
    assert source.manifest(spec) is not None


def test_an_object_gets_a_bounded_number_of_events_at_a_time() -> None:
    source = EventSource(SimClock())
    told = [source.manifest(EventSpec(CLIQUE, "PodEnded", f"pod {n}", is_warning=True)) for n in range(100)]
    assert sum(event is not None for event in told) == PER_OBJECT
