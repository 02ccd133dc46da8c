"""Simulations and explanations as plain trees: the data behind `grove simulate` and `grove explain`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from grove_operator.api.kinds import Json
from grove_operator.engine.whatif.explanation import GangExplanation
from grove_operator.engine.whatif.simulation import GangVerdict, PodPlace, Simulation
from grove_operator.scheduler.explain import ScopeReport
from grove_operator.scheduler.quantity import spell
from grove_operator.views.failures import ToldFailure
from grove_operator.views.placement import Health, TreeNode, level_keys, topology_path


def simulation_trees(simulation: Simulation) -> list[TreeNode]:
    """One tree for each gang: its podgroups with their pods and places, or the reasons why it has none."""
    keys = level_keys(simulation.topologies)
    where = {node["metadata"]["name"]: topology_path(node, keys) for node in simulation.nodes}
    return [_gang(verdict, where) for verdict in simulation.verdicts]


def _gang(verdict: GangVerdict, where: Mapping[str, str]) -> TreeNode:
    name = f"{verdict.namespace}/{verdict.gang}"
    reasons = tuple(_reason(reason) for reason in verdict.reasons)
    if not verdict.is_placed:
        return TreeNode("podgang", name, ("not placed",), "bad", reasons)
    facts = ["placed" if any(p.is_new and p.node for p in verdict.pods) else "runs"]
    if verdict.score is not None:
        facts.append(f"score {verdict.score:.2f}")
    waiting = sum(p.node is None for p in verdict.pods)
    if waiting:
        facts.append(f"{waiting} beyond the minimum without a place")
    return TreeNode(
        "podgang",
        name,
        tuple(facts),
        "waiting" if waiting else "good",
        (*(_podgroup(group, verdict, where) for group in dict.fromkeys(p.podgroup for p in verdict.pods)), *reasons),
    )


def _podgroup(group: str, verdict: GangVerdict, where: Mapping[str, str]) -> TreeNode:
    pods = [p for p in verdict.pods if p.podgroup == group]
    placed = sum(p.node is not None for p in pods)
    health: Health = "good" if placed == len(pods) else "waiting"
    return TreeNode("podgroup", group, (f"{placed}/{len(pods)} placed",), health, tuple(_pod(p, where) for p in pods))


def _pod(pod: PodPlace, where: Mapping[str, str]) -> TreeNode:
    if pod.node is None:
        return TreeNode("pod", pod.name, ("no place",), "waiting")
    facts = [where.get(pod.node, pod.node)] + ([] if pod.is_new else ["runs"])
    return TreeNode("pod", pod.name, tuple(facts), "good")


def _reason(reason: Json) -> TreeNode:
    return TreeNode("because", str(reason.get("reason", "")), (str(reason["message"]),), "bad")


def explanation_tree(explained: GangExplanation, failures: Iterable[ToldFailure] = ()) -> TreeNode:
    """The gang, its scopes with their closest domains and holders, the ways out, and what of it failed last."""
    why, failed = explained.explanation, tuple(failure.tree() for failure in failures)
    if not explained.reasons:
        return TreeNode("podgang", why.gang, ("placed: nothing stands in its way",), "good", failed)
    message = str(explained.reasons[0]["message"])
    children = [
        *(_reason(reason) for reason in explained.reasons[1:]),
        *(_scope(report) for report in why.scopes),
        _ways_out(explained),
        *failed,
    ]
    fact = "placed, but not whole" if explained.is_placed else "not placed"
    return TreeNode("podgang", why.gang, (fact, message), "bad", tuple(children))


def _scope(report: ScopeReport) -> TreeNode:
    kind, _, name = report.scope.partition(" ")
    asked = f"{report.wanted} pod{'' if report.wanted == 1 else 's'}" + (
        f" in one {report.level}" if report.level else ""
    )
    if report.is_satisfied:
        where = f", in {report.domain}" if report.level else ""
        return TreeNode(kind, name, (f"{asked}: fits by itself{where}",), "good")
    facts = [asked]
    if report.blocked_by:
        facts.append(f"waits for {report.blocked_by}")
    if report.domain:
        facts.append(f"closest: {report.domain} takes {report.fits}")
    if report.resource and report.short > 0:
        facts.append(f"short of {spell(report.resource, report.short)}")
    return TreeNode(kind, name, tuple(facts), "bad", tuple(_held(report)))


def _held(report: ScopeReport) -> Iterator[TreeNode]:
    for holder in report.holders:
        facts = [f"holds {spell(report.resource, holder.amount)} on {', '.join(holder.nodes)}"]
        if holder.is_leaving:
            facts.append("is terminating")
        yield TreeNode(holder.kind, holder.key, tuple(facts))
    for node, reason in report.unusable:
        yield TreeNode("node", node, (reason,), "waiting")


def _ways_out(explained: GangExplanation) -> TreeNode:
    why = explained.explanation
    ways = tuple(TreeNode(way.action, "", (way.message,), "good") for way in why.ways_out)
    if not why.runs:
        note = "see the reasons above"
    elif ways:
        note = f"any one of these, each tried on a copy ({why.runs} runs)"
    else:
        note = f"no single change helps of those tried ({why.runs} runs)"
    if not why.is_complete:
        note += "; the search ended at its budget"
    return TreeNode("ways out", "", (note,), "plain", ways)
