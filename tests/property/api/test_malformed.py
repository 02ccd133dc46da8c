"""Whatever an object holds: admission and `grove validate` answer with faults, and nothing is ever raised."""

from __future__ import annotations

from grove_operator.api.validation import validate_podcliqueset, validate_schema
from tests.support.fuzz import KNOWN, fuzz
from tests.unit.api.manifests import everything, podgangset


def test_what_the_malformed_objects_are_made_from_has_no_fault() -> None:
    assert validate_podcliqueset(everything(), topologies=KNOWN) == []
    assert validate_schema(podgangset()) == []


def test_malformed_objects_get_faults_and_nothing_else() -> None:
    """400 of the 10,000 of `make prove ISSUE=4`."""
    tally = fuzz(4, 400)
    assert tally.cases == 400
    assert tally.valid < 200
    assert tally.reasons >= {"Required", "Invalid", "NotSupported"}
