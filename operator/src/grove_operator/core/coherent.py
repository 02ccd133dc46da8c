"""Coherent updates: all changed parts of a replica move in step, so that old and new keep their ratio (7.8).

    steps      = min over parts (replicas // minAvailable)
    per step   = minAvailable + (replicas - steps * minAvailable) // steps
    leftover   = replicas - steps * per step, drained after the last step

      prefill 4 (min 2), decode 8 (min 4)      step 1: 2 + 4     step 2: 4 + 8
      prefill 5 (min 2), decode 8 (min 4)      step 1: 2 + 4     step 2: 4 + 8     then: 5 + 8

A part may have updated at most what the first unfinished step allows; a step is finished when every part has that many
updated and Ready. Everything is derived from what is observed: there is no plan to lose.
"""

from __future__ import annotations

from collections.abc import Mapping

from grove_operator.api.kinds import Json
from grove_operator.core.availability import least
from grove_operator.core.observed import Peers
from grove_operator.core.settling import is_settling
from grove_operator.core.template import Template

Sizes = Mapping[str, tuple[int, int]]
"""(replicas, minAvailable) by part."""


def targets(sizes: Sizes) -> list[dict[str, int]]:
    """How many units of each part are updated after each step; the last entry is everything."""
    everything = {name: replicas for name, (replicas, _) in sizes.items()}
    counts = [replicas // minimum for replicas, minimum in sizes.values() if minimum]
    steps = max(1, min(counts, default=1))
    per_step = {}
    for name, (replicas, minimum) in sizes.items():
        tail = max(0, replicas - steps * minimum) // steps
        per_step[name] = minimum + tail
    found = [{name: min(everything[name], s * per_step[name]) for name in sizes} for s in range(1, steps + 1)]
    return found if found[-1] == everything else [*found, everything]


def allowance(template: Template, peers: Peers, name: str) -> int:
    """How many units of part `name` may run the new template now; 0 until every part has noticed the update."""
    generation = template.generation_hash
    if not all(_has_noticed(peer, generation) for peer in peers.parts.values()):
        return 0
    changed = {part: peer for part, peer in peers.parts.items() if _progress_of(peer, generation) is not None}
    if name not in changed:
        return 0
    for target in targets({part: (peer["spec"]["replicas"], least(peer)) for part, peer in changed.items()}):
        if not all(
            _has_reached(peer, peers.ready.get(part), target[part], generation) for part, peer in changed.items()
        ):
            return target[name]
    replicas: int = changed[name]["spec"]["replicas"]
    return replicas


def _progress_of(peer: Json, generation: str) -> Json | None:
    progress: Json | None = (peer.get("status") or {}).get("updateProgress")
    return progress if progress and progress.get("podCliqueSetGenerationHash") == generation else None


def _has_noticed(peer: Json, generation: str) -> bool:
    status = peer.get("status") or {}
    is_current = status.get("currentPodCliqueSetGenerationHash") == generation
    return is_current or _progress_of(peer, generation) is not None


def _has_reached(peer: Json, ready: int | None, target: int, generation: str) -> bool:
    """What is old and broken doesn't count, and doesn't stop anybody. `ready` None: a group, which counts itself."""
    if is_settling(peer):
        return False
    status = peer.get("status") or {}
    updated: int = status.get("updatedReplicas", 0) if ready is None else ready
    return updated >= target or status.get("currentPodCliqueSetGenerationHash") == generation
