"""`simulate`: the decision that the scheduler would take on manifests, as one plain report.

    {"placements": [{"gang", "namespace", "score", "pods": [{"namespace", "name", "node"}]}],
     "unplaced":   [{"gang", "namespace", "reasons": [{"scope", "message", ...}]}],
     "preempted":  []}

A gang stands in exactly one of the lists. A member beyond the minima that found no place has `node: null`, and its
placement then carries `reasons`. Gangs of the dump that wait for nothing are left out. Nobody is preempted yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grove_operator.api import kinds
from grove_operator.api.kinds import Json
from grove_operator.core.settings import Settings
from grove_operator.engine.whatif.expansion import expand
from grove_operator.engine.whatif.inputs import Inputs, gather
from grove_operator.engine.whatif.problem import Obstacle, Problem, missing, problem
from grove_operator.scheduler.model import Decision, Gang, Policy, Refusal, dump
from grove_operator.scheduler.solve import schedule


@dataclass(frozen=True, slots=True)
class PodPlace:
    """`node` is None for a member beyond the minima that found no place; `is_new` tells it from one that runs."""

    podgroup: str
    namespace: str
    name: str
    node: str | None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class GangVerdict:
    """`reasons` are plain JSON with `scope` and `message` at least; of a placed gang they concern only extras."""

    namespace: str
    gang: str
    is_placed: bool
    score: float | None
    pods: tuple[PodPlace, ...]
    reasons: tuple[Json, ...]

    def to_json(self) -> Json:
        said: Json = {"gang": self.gang, "namespace": self.namespace}
        if not self.is_placed:
            return said | {"reasons": list(self.reasons)}
        pods = [{"namespace": p.namespace, "name": p.name, "node": p.node} for p in self.pods]
        return said | {"score": self.score, "pods": pods} | ({"reasons": list(self.reasons)} if self.reasons else {})


@dataclass(frozen=True)
class Simulation:
    """`nodes` and `topologies` are the manifests that the pods' places refer to."""

    verdicts: tuple[GangVerdict, ...]
    decision: Decision
    nodes: tuple[Json, ...] = ()
    topologies: tuple[Json, ...] = ()

    @property
    def is_all_placed(self) -> bool:
        return all(verdict.is_placed for verdict in self.verdicts)

    def to_json(self) -> Json:
        return {
            "placements": [v.to_json() for v in self.verdicts if v.is_placed],
            "unplaced": [v.to_json() for v in self.verdicts if not v.is_placed],
            "preempted": [],
        }


def simulate(
    files: Iterable[Json],
    dump_of_cluster: Iterable[Json] = (),
    *,
    settings: Settings | None = None,
    policy: Policy | None = None,
) -> Simulation:
    """Both arguments stay as they are. Raises InputError for what the API server or admission would refuse."""
    inputs = expand(gather(files, dump_of_cluster), settings)
    asked = problem(inputs)
    return judge(inputs, asked, schedule(asked.snapshot, asked.gangs, policy))


def judge(inputs: Inputs, asked: Problem, decision: Decision, *, with_background: bool = False) -> Simulation:
    """One verdict for each gang, sorted by namespace and name."""
    nodes = {f"{a.namespace}/{a.pod}": a.node for a in decision.assignments}
    stands = {gang.key: _stands(gang, nodes) for gang in asked.gangs}
    gangs = [g for g in asked.gangs if with_background or g.key not in asked.background]
    gangs.sort(key=lambda g: (g.namespace, g.name))
    return Simulation(
        verdicts=tuple(_verdict(gang, asked, decision, nodes, stands) for gang in gangs),
        decision=decision,
        nodes=tuple(inputs.all(kinds.NODE)),
        topologies=tuple(inputs.all(kinds.CLUSTER_TOPOLOGY_BINDING)),
    )


def _stands(gang: Gang, nodes: dict[str, str]) -> bool:
    return all(sum(bool(m.node or nodes.get(m.key)) for m in g.members) >= g.minimum for g in gang.podgroups)


def _verdict(
    gang: Gang, asked: Problem, decision: Decision, nodes: dict[str, str], stands: dict[str, bool]
) -> GangVerdict:
    is_placed = stands[gang.key]
    score = next((s.value for s in decision.scores if s.gang == gang.key), asked.live_scores.get(gang.key))
    reasons = [_reason(r) for r in decision.refusals if r.gang == gang.key]
    if not is_placed:
        reasons = [o.to_json() for o in asked.obstacles.get(gang.key, ())] + reasons
        reasons += [o.to_json() for o in _waiting(gang, stands)] if not reasons else []
    absent = asked.absent.get(gang.key, ())
    if is_placed:
        reasons += [
            Obstacle(
                f"podgroup {group}", "PodMissing", missing(f"podgroup {group}", where), ("/".join(where),)
            ).to_json()
            for group, where in absent
        ]
    pods = [
        PodPlace(g.name, m.namespace, m.name, m.node or nodes.get(m.key), is_new=m.node is None)
        for g in gang.podgroups
        for m in g.members
    ]
    pods += [PodPlace(group, *where, None) for group, where in absent]
    return GangVerdict(gang.namespace, gang.name, is_placed, score, tuple(pods), tuple(reasons))


def _waiting(gang: Gang, stands: dict[str, bool]) -> Iterator[Obstacle]:
    """No refusal and no place: it wasn't its turn."""
    scope = f"podgang {gang.name}"
    if gang.base_key and not stands.get(gang.base_key, True):
        text = f"{scope}: waits for its base podgang {gang.base}, which is not placed; see its reasons"
        yield Obstacle(scope, "BaseGangNotPlaced", text)
    else:
        yield Obstacle(scope, "Undecided", f"{scope}: the scheduler took no decision on it; please report this input")


def _reason(refusal: Refusal) -> Json:
    """The refusal as data, without what the entry says already and what is empty."""
    said = dump(refusal)
    first = {"scope": said.pop("scope"), "message": said.pop("message"), "reason": said.pop("reason")}
    return first | {k: v for k, v in said.items() if k != "gang" and (v or k == "proven")}
