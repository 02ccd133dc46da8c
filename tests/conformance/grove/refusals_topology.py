"""What is refused at creation: topology constraints, sections 1.1.4 and 2.4 of the reference, row by row."""

from __future__ import annotations

from grove_operator.api.config import parse_config
from tests.conformance.grove.refusals import C, G, T, row

NAMED = {"topologyName": "default", "pack": {"required": "block"}}
TOPOLOGY_ROWS = [
    row(
        "a constraint names its topology or inherits one",
        (f"{T}.topologyConstraint", {"pack": {"required": "rack"}}),
        faults=f"{T}.topologyConstraint.topologyName Required",
        section="2.4",
    ),
    row(
        "a clique's constraint too",
        (f"{C}.0.topologyConstraint", {"pack": {"required": "rack"}}),
        faults=f"{C}[0].topologyConstraint.topologyName Required",
        section="2.4",
    ),
    row(
        "a group's constraint too",
        (f"{G}.0.topologyConstraint", {"pack": {"required": "rack"}}),
        faults=f"{G}[0].topologyConstraint.topologyName Required",
        section="2.4",
    ),
    row(
        "an own name equals the inherited one",
        (f"{T}.topologyConstraint", NAMED),
        (f"{C}.0.topologyConstraint", {"topologyName": "other", "pack": {"required": "rack"}}),
        faults=f"{C}[0].topologyConstraint.topologyName Invalid",
        section="2.4",
    ),
    row(
        "siblings use one topology",
        (f"{C}.0.topologyConstraint", NAMED),
        (f"{G}.0.topologyConstraint", {"topologyName": "other", "pack": {"required": "rack"}}),
        faults=(
            f"{G}[0].topologyConstraint.topologyName Invalid",
            f"{C}[0].topologyConstraint.topologyName Invalid",
        ),
        section="2.4",
    ),
    row(
        "the topology exists",
        (f"{T}.topologyConstraint", {"topologyName": "other", "pack": {"required": "rack"}}),
        faults=f"{T}.topologyConstraint.topologyName Invalid",
        section="2.4",
    ),
    row(
        "a required level exists",
        (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {"required": "row"}}),
        faults=f"{T}.topologyConstraint.pack.required Invalid",
        section="2.4",
    ),
    row(
        "a preferred level exists",
        (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {"preferred": "row"}}),
        faults=f"{T}.topologyConstraint.pack.preferred Invalid",
        section="2.4",
    ),
    *(
        row(
            f"the set is not narrower than its {what}, {word} with {word}",
            (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {word: "rack"}}),
            (place, {"pack": {word: "block"}}),
            faults=f"{T}.topologyConstraint{tail} Invalid",
            section="2.4",
        )
        for what, place in (("cliques", f"{C}.0.topologyConstraint"), ("groups", f"{G}.0.topologyConstraint"))
        for word, tail in (("required", ""), ("preferred", ".pack.preferred"))
    ),
    row(
        "a group is not narrower than its members",
        (f"{G}.0.topologyConstraint", {"topologyName": "default", "pack": {"required": "rack"}}),
        (f"{C}.1.topologyConstraint", {"pack": {"required": "zone"}}),
        faults=f"{G}[0].topologyConstraint Invalid",
        section="2.4",
    ),
    row(
        "with topologies switched off no constraint at all",
        (f"{T}.topologyConstraint", NAMED),
        (f"{C}.0.topologyConstraint", NAMED),
        faults=(f"{T}.topologyConstraint Invalid", f"{C}[0].topologyConstraint Invalid"),
        section="2.4",
        by_server=False,
        config=parse_config({"topologyAwareScheduling": {"enabled": False}}),
    ),
    row(
        "a constraint has pack or packDomain",
        (f"{T}.topologyConstraint", {"topologyName": "default"}),
        faults=f"{T}.topologyConstraint.pack Required",
        section="1.1.4",
    ),
    row(
        "pack has required or preferred",
        (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {}}),
        faults=f"{T}.topologyConstraint.pack Required",
        section="1.1.4",
    ),
    row(
        "packDomain does not stand beside pack.required",
        (f"{T}.topologyConstraint", {"topologyName": "default", "packDomain": "rack", "pack": {"required": "rack"}}),
        faults=f"{T}.topologyConstraint.pack.required Invalid",
        section="1.1.4",
    ),
    row(
        "a level name has its form",
        (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {"required": "Rack"}}),
        faults=f"{T}.topologyConstraint.pack.required Invalid",
        section="1.1.4",
    ),
    *(
        row(
            f"no packDomain on a new set: {place}",
            (place, {"topologyName": "default", "packDomain": "rack"}),
            faults=f"{field}.packDomain Forbidden",
            section="1.1.4",
            at_server=server,
        )
        for place, field, server in (
            (f"{T}.topologyConstraint", f"{T}.topologyConstraint", f"{T}.topologyConstraint.packDomain"),
            (f"{C}.0.topologyConstraint", f"{C}[0].topologyConstraint", C),
            (f"{G}.0.topologyConstraint", f"{G}[0].topologyConstraint", G),
        )
    ),
]
