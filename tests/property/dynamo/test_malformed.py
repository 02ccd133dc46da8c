"""A seeded sample of `make prove ISSUE=9`: malformed graphs are refused with reasons, or were harmless."""

from __future__ import annotations

from tests.prove.issue_9 import refusals


def test_a_malformed_graph_is_refused_at_admission_and_never_later() -> None:
    figures = refusals(9, 150, lambda _done: None)
    assert figures["refused"] > figures["harmless"]
    assert figures["faults"] >= figures["refused"]
