"""The annotations that ask for further replicas during an update, and for pods that have been Ready for a while."""

from __future__ import annotations

import pytest

from grove_operator.api.validation import advise_podcliqueset, validate_podcliqueset
from tests.unit.api.manifests import changed, leader_worker

EXAMPLES = {"grove.io/rollout-max-surge": "1", "grove.io/rollout-min-ready-seconds": "10"}


@pytest.mark.parametrize("key", EXAMPLES)
@pytest.mark.parametrize("text", ["1", "3", "9999"])
def test_a_positive_number_is_accepted(key: str, text: str) -> None:
    new = changed(leader_worker(), "metadata.annotations", {key: text})
    assert validate_podcliqueset(new) == []
    assert validate_podcliqueset(new, leader_worker()) == []
    assert advise_podcliqueset(new) == advise_podcliqueset(leader_worker())


@pytest.mark.parametrize("key", EXAMPLES)
@pytest.mark.parametrize("text", ["0", "-1", "", "one", "25%", "1.0", " 1", "10000"])
def test_anything_else_is_refused_with_one_fault_that_says_what_to_write(key: str, text: str) -> None:
    for old in (None, leader_worker()):
        faults = validate_podcliqueset(changed(leader_worker(), "metadata.annotations", {key: text}), old)
        assert [str(fault) for fault in faults] == [
            f"metadata.annotations[{key}]: {text!r} is not a number from 1 to 9999; "
            f'write it like "{EXAMPLES[key]}", or remove it'
        ]


def test_both_are_judged_at_once() -> None:
    obj = changed(leader_worker(), "metadata.annotations", dict.fromkeys(EXAMPLES, "0"))
    assert [fault.field for fault in validate_podcliqueset(obj)] == [f"metadata.annotations[{key}]" for key in EXAMPLES]


def test_with_on_delete_it_is_told_that_nothing_comes_of_them() -> None:
    obj = changed(leader_worker(), "metadata.annotations", EXAMPLES)
    obj = changed(obj, "spec.updateStrategy", {"type": "OnDelete"})
    assert validate_podcliqueset(obj) == []
    assert [a.field for a in advise_podcliqueset(obj)] == [f"metadata.annotations[{key}]" for key in EXAMPLES]


@pytest.mark.parametrize(("seconds", "is_told"), [("59", False), ("60", True)])
def test_a_rest_as_long_as_the_progress_deadline_is_told(seconds: str, is_told: bool) -> None:
    obj = changed(leader_worker(), "metadata.annotations", {"grove.io/rollout-min-ready-seconds": seconds})
    obj["spec"]["template"]["cliques"][0]["rollingUpdate"] = {"progressDeadline": "1m"}
    assert validate_podcliqueset(obj) == []
    told = [a.message for a in advise_podcliqueset(obj) if "min-ready" in a.field]
    assert told == ["60 s are not shorter than the progressDeadline of 60 s: every step counts as stuck"] * is_told
