"""Parts kept in proportion: `scheduling.grove.io/replica-ratio: "prefill:decode=1:2"` on a PodCliqueSet.

    prefill 2, decode 2, ratio 1:2    ──>    the smallest 1:2 that holds both: 2 and 4

A part is a standalone clique or a scaling group; several ratios are separated by `;`. Only the live objects are scaled,
and only up: whoever wants less of both lowers both, within `SETTLE_S`. An autoscaler's maxReplicas is never passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from grove_operator.api import names
from grove_operator.api.constants import ANNOTATION_REPLICA_RATIO
from grove_operator.api.kinds import POD_CLIQUE, SCALING_GROUP, Json, ObjectKey
from grove_operator.core.objects import is_terminating
from grove_operator.core.observed import Trouble
from grove_operator.core.outcome import Scale
from grove_operator.core.template import Template

SETTLE_S = 2.0
"""Between a change of one part and the correction of the others: time to change both by hand."""
_RATIO = re.compile(r"^\s*([a-z0-9.-]+(?::[a-z0-9.-]+)+)\s*=\s*(\d+(?::\d+)+)\s*$")


@dataclass(frozen=True, slots=True)
class Ratio:
    """`shares[part]` of each unit; all at least 1."""

    shares: Mapping[str, int]


def ratios(template: Template) -> tuple[list[Ratio], list[Trouble]]:
    """The declared ratios, and what is wrong with those that can't be read."""
    found: list[Ratio] = []
    troubles: list[Trouble] = []
    parts = {clique.name for clique in template.standalone} | {group.name for group in template.groups}
    for text in filter(None, (t.strip() for t in template.annotations.get(ANNOTATION_REPLICA_RATIO, "").split(";"))):
        fault = ""
        match = _RATIO.match(text)
        chosen = match[1].split(":") if match else []
        numbers = [int(n) for n in match[2].split(":")] if match else []
        if not match or len(chosen) != len(numbers) or len(set(chosen)) < len(chosen) or 0 in numbers:
            fault = "write it as prefill:decode=1:2"
        elif unknown := sorted(set(chosen) - parts):
            fault = f"{', '.join(unknown)} is no standalone clique and no scaling group of the set"
        if fault:
            troubles.append(Trouble("ERR_REPLICA_RATIO", f"{ANNOTATION_REPLICA_RATIO} {text!r}: {fault}"))
        else:
            found.append(Ratio(dict(zip(chosen, numbers, strict=True))))
    return found, troubles


def corrections(template: Template, i: int, live: Mapping[str, Json]) -> Iterator[Scale]:
    """Scales that restore every ratio in set replica `i`; `live` are its cliques and groups by object name."""
    for ratio in ratios(template)[0]:
        objects = {part: live.get(_name(template, i, part)) for part in ratio.shares}
        there = {part: obj for part, obj in objects.items() if obj is not None and not is_terminating(obj)}
        if len(there) < len(ratio.shares):
            continue
        counts = {part: int(obj["spec"].get("replicas") or 0) for part, obj in there.items()}
        units = max(-(-counts[part] // share) for part, share in ratio.shares.items())
        for part, share in ratio.shares.items():
            wanted = min(units * share, _limit(template, part))
            if wanted > counts[part]:
                yield Scale(_key(template, i, part), wanted)


def _limit(template: Template, part: str) -> int:
    """maxReplicas of the part's autoscaler, which would take back what goes beyond."""
    clique = template.clique_by_name.get(part)
    config = clique.spec.get("autoScalingConfig") if clique and part not in template.group_of_clique else None
    config = config or next((group.scale_config for group in template.groups if group.name == part), None)
    return int(config["maxReplicas"]) if config else 2**31 - 1


def _name(template: Template, i: int, part: str) -> str:
    is_group = any(group.name == part for group in template.groups)
    return names.scaling_group(template.name, i, part) if is_group else names.pod_clique(template.name, i, part)


def _key(template: Template, i: int, part: str) -> ObjectKey:
    kind = SCALING_GROUP if any(group.name == part for group in template.groups) else POD_CLIQUE
    return ObjectKey(kind.kind, template.namespace, _name(template, i, part))
