"""The annotation that asks for further replicas during an update."""

from __future__ import annotations

import pytest

from grove_operator.api.validation import advise_podcliqueset, validate_podcliqueset
from tests.unit.api.manifests import changed, leader_worker

SURGE = "grove.io/rollout-max-surge"


@pytest.mark.parametrize("text", ["1", "3", "9999"])
def test_a_positive_number_is_accepted(text: str) -> None:
    new = changed(leader_worker(), "metadata.annotations", {SURGE: text})
    assert validate_podcliqueset(new) == []
    assert validate_podcliqueset(new, leader_worker()) == []
    assert advise_podcliqueset(new) == advise_podcliqueset(leader_worker())


@pytest.mark.parametrize("text", ["0", "-1", "", "one", "25%", "1.0", " 1", "10000"])
def test_anything_else_is_refused_with_one_fault_that_says_what_to_write(text: str) -> None:
    for old in (None, leader_worker()):
        faults = validate_podcliqueset(changed(leader_worker(), "metadata.annotations", {SURGE: text}), old)
        assert [str(fault) for fault in faults] == [
            f'metadata.annotations[{SURGE}]: {text!r} is not a number from 1 to 9999; write it like "1", or remove it'
        ]


def test_with_on_delete_it_is_told_that_nothing_comes_of_it() -> None:
    obj = changed(leader_worker(), "metadata.annotations", {SURGE: "1"})
    obj = changed(obj, "spec.updateStrategy", {"type": "OnDelete"})
    assert validate_podcliqueset(obj) == []
    assert [a.field for a in advise_podcliqueset(obj)] == [f"metadata.annotations[{SURGE}]"]
