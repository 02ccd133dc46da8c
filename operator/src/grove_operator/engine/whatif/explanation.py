"""`explain` for one gang of the input: the scheduler's explanation, or what keeps it from being tried at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grove_operator.api.kinds import Json
from grove_operator.engine.whatif.documents import InputError
from grove_operator.engine.whatif.expansion import expand
from grove_operator.engine.whatif.inputs import gather
from grove_operator.engine.whatif.problem import Problem, problem
from grove_operator.engine.whatif.simulation import judge
from grove_operator.scheduler.explain import Explanation
from grove_operator.scheduler.model import Policy, dump
from grove_operator.scheduler.solve import schedule
from grove_operator.scheduler.ways_out import explain


@dataclass(frozen=True, slots=True)
class GangExplanation:
    """`reasons` are those of the simulation; none when the gang has, or would get, all its places."""

    namespace: str
    gang: str
    is_placed: bool
    reasons: tuple[Json, ...]
    explanation: Explanation

    def to_json(self) -> Json:
        """{"gang", "namespace", "placed", "message", "reasons", "scopes", "waysOut", "runs", "complete"}"""
        said = dump(self.explanation)
        return {
            "gang": self.gang,
            "namespace": self.namespace,
            "placed": self.is_placed,
            "message": self.sentence,
            "reasons": list(self.reasons),
            "scopes": [_scope(scope) for scope in said["scopes"]],
            "waysOut": said["ways_out"],
            "runs": said["runs"],
            "complete": said["is_complete"],
        }

    @property
    def sentence(self) -> str:
        """What a condition or an event would say."""
        if self.reasons and self.explanation.refusal is None:
            return str(self.reasons[0]["message"])
        return self.explanation.sentence


def _scope(said: Json) -> Json:
    """In the spelling of Kubernetes' own fields."""
    said["holders"] = [{("leaving" if k == "is_leaving" else k): v for k, v in h.items()} for h in said["holders"]]
    said["unusable"] = [{"node": node, "reason": why} for node, why in said["unusable"]]
    said["blockedBy"] = said.pop("blocked_by")
    return said


def explain_gang(
    files: Iterable[Json],
    dump_of_cluster: Iterable[Json],
    namespace: str,
    name: str,
    *,
    policy: Policy | None = None,
) -> GangExplanation:
    """Raises InputError when the input holds no such gang, naming those it holds."""
    inputs = expand(gather(files, dump_of_cluster))
    asked = problem(inputs)
    key = f"{namespace}/{name}"
    if key not in {gang.key for gang in asked.gangs}:
        raise InputError(f"podgang {key} is not in the input; {_known(asked, namespace)}")
    simulated = judge(inputs, asked, schedule(asked.snapshot, asked.gangs, policy), with_background=True)
    verdict = next(v for v in simulated.verdicts if (v.namespace, v.gang) == (namespace, name))
    explained = Explanation(key)
    if verdict.reasons:
        explained = explain(asked.snapshot, asked.gangs, key, asked.holdings, policy=policy)
    return GangExplanation(namespace, name, verdict.is_placed, verdict.reasons, explained)


def _known(asked: Problem, namespace: str) -> str:
    here = sorted(g.name for g in asked.gangs if g.namespace == namespace)
    if here:
        return f"namespace {namespace} has: {', '.join(here[:10])}{', ...' if len(here) > 10 else ''}"
    return f"namespace {namespace} has none; name another with -n"
