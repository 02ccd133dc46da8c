"""A PodCliqueScalingGroup: its member PodCliques and its status (grove-behaviour 1.3 and 5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from grove_operator.api import conditions, names
from grove_operator.api.constants import (
    CONDITION_EVER_HEALTHY,
    CONDITION_GANG_TERMINATION,
    CONDITION_MIN_AVAILABLE_BREACHED,
    CONDITION_POD_CLIQUE_SCHEDULED,
    CONDITION_SETTLING,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_TEMPLATE_HASH,
)
from grove_operator.api.kinds import Json
from grove_operator.api.labels import group_labels, selector_text
from grove_operator.core.adoption import remembering
from grove_operator.core.availability import clique_is_current, least, lost_all, reaches_least
from grove_operator.core.cliques import member_clique
from grove_operator.core.evidence import failures_below, is_news, last_failure, with_failure
from grove_operator.core.nametaken import name_taken, without_name_taken
from grove_operator.core.objects import is_terminating, label, timestamp_of
from grove_operator.core.observed import GroupView
from grove_operator.core.outcome import EventSpec, Outcome
from grove_operator.core.podcliqueset import last_errors
from grove_operator.core.settling import is_settling, settling_condition
from grove_operator.core.sharing import group_claims
from grove_operator.core.strategy import ON_DELETE, UPDATE_IN_PROGRESS, is_running, strategy
from grove_operator.core.template import Group
from grove_operator.core.termination import Verdict, group_verdict
from grove_operator.core.updates import group_step


def reconcile(view: GroupView, now: datetime) -> Outcome:
    """Members of every replica below `spec.replicas`. None at all when the template no longer has the group."""
    group = config_of(view)
    if group is None:
        return Outcome()
    template, i = view.template, replica_index(view)
    by_replica = [dict(_members(view, group, j)) for j in range(view.obj["spec"]["replicas"])]
    step = group_step(view, i, group, by_replica, now)
    verdict = Verdict() if is_running(step.progress) else group_verdict(template, view.obj, _named(by_replica), now)
    doomed = step.doomed | verdict.doomed
    children = [
        remembering(_held(live) if live and strategy(template) != ON_DELETE else _made(view, group, j, name), live)
        for j, members in enumerate(by_replica)
        for name, live in members.items()
        if not (live and live["metadata"]["name"] in doomed)
    ]
    claims = group_claims(template, group, view.obj, view.claim_templates)
    children += claims.manifests
    view = replace(view, troubles=(*view.troubles, *claims.troubles))
    status = _status(view, group, by_replica, step.progress, now)
    was_up = bool((view.obj.get("status") or {}).get("availableReplicas"))
    is_up = status["availableReplicas"] >= least(view.obj)
    is_told = all((clique.get("status") or {}).get("observedGeneration") for clique in view.cliques.values())
    is_starting = not is_up and not was_up and not (is_told and view.cliques)
    return Outcome(
        tuple(children),
        status,
        verdict.wake_after_s,
        tuple(_news(view, status, verdict)),
        is_starting=is_starting,
        is_urgent=step.is_decision or is_news(view.obj, status),
        troubles=claims.troubles,
        kept=claims.kept,
    )


def _made(view: GroupView, group: Group, j: int, name: str) -> Json:
    clique = view.template.clique_by_name[name]
    return member_clique(view.template, replica_index(view), group, view.obj, j, clique)


def _held(live: Json) -> Json:
    """A live member changes by being made anew: of it we hold only that it exists."""
    meta = live["metadata"]
    held: Json = {"name": meta["name"], "namespace": meta["namespace"]}
    held["labels"] = {LABEL_POD_TEMPLATE_HASH: label(live, LABEL_POD_TEMPLATE_HASH)}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": held}


def _named(by_replica: Iterable[Mapping[str, Json | None]]) -> list[dict[str, Json]]:
    return [{o["metadata"]["name"]: o for o in members.values() if o is not None} for members in by_replica]


def _news(view: GroupView, status: Json, verdict: Verdict) -> Iterator[EventSpec]:
    if verdict.doomed:
        what = (
            f"minAvailable is breached for longer than terminationDelay: {', '.join(sorted(verdict.doomed))} recycled"
        )
        yield EventSpec(view.template.obj, "PodCliqueScalingGroupReplicaDeleteSuccessful", what)
    yield from lost_all(view.obj, status)


def replica_index(view: GroupView) -> int:
    return int(label(view.obj, LABEL_PCS_REPLICA_INDEX))


def config_of(view: GroupView) -> Group | None:
    """The template's entry for this object, found by the name it would give."""
    template, i, name = view.template, replica_index(view), view.obj["metadata"]["name"]
    return next((g for g in template.groups if names.scaling_group(template.name, i, g.name) == name), None)


def _status(
    view: GroupView, group: Group, replicas_members: list[dict[str, Json | None]], progress: Json | None, now: datetime
) -> Json:
    obj, old = view.obj, view.obj.get("status") or {}
    replicas, minimum = obj["spec"]["replicas"], least(obj)
    by_replica = [list(members.items()) for members in replicas_members]
    scheduled = [m for m in by_replica if all(_is_scheduled(clique) for _, clique in m)]
    available = [m for m in scheduled if all(reaches_least(clique, "readyReplicas") for _, clique in m)]
    current = [m for m in by_replica if all(_is_current(view, name, clique) for name, clique in m)]
    converged = all(_is_converged(view, name, clique) for m in by_replica for name, clique in m)
    status = {
        **old,
        "observedGeneration": obj["metadata"].get("generation", 1),
        "replicas": replicas,
        "scheduledReplicas": len(scheduled),
        "availableReplicas": len(available),
        "updatedReplicas": sum(m in current for m in available),
        "selector": selector_text(group_labels(view.template.name, obj["metadata"]["name"])),
        "lastErrors": last_errors(old.get("lastErrors"), view.troubles, now),
    }
    if converged and not is_running(progress):
        status["currentPodCliqueSetGenerationHash"] = view.template.generation_hash
    if progress is not None:
        counts = (
            sum(_is_current(view, name, o) for m in by_replica for name, o in m),
            replicas * len(group.clique_names),
        )
        status["updateProgress"] = {
            **progress,
            "updatedPodCliquesCount": counts[0],
            "totalPodCliquesCount": counts[1],
        }
    whole = sum(all(_holds(clique) for _, clique in m) for m in by_replica)
    breached = whole < minimum
    reason = "Insufficient" if breached else "Sufficient"
    message = f"{whole} of {replicas} replicas are not in breach, minAvailable is {minimum}"
    is_updating = is_running(progress)
    generation = obj["metadata"].get("generation", 1)
    said = [
        conditions.condition(
            CONDITION_MIN_AVAILABLE_BREACHED,
            None if is_updating else breached,
            UPDATE_IN_PROGRESS if is_updating else f"{reason}AvailablePodCliqueScalingGroupReplicas",
            message,
            observed_generation=generation,
        )
    ]
    if minimum and not breached:
        said.append(conditions.condition(CONDITION_EVER_HEALTHY, True, "MinAvailableReached", "enough replicas held"))
    settling = settling_condition(view.template, obj, is_it=any(is_settling(o) for m in by_replica for _, o in m))
    said += settling
    dropped = {CONDITION_GANG_TERMINATION} if not breached else set()
    dropped |= {CONDITION_SETTLING} if not settling else set()
    dropped |= {CONDITION_EVER_HEALTHY} if not minimum else set()
    said += name_taken(view.troubles, generation)
    kept = [c for c in without_name_taken(old.get("conditions")) if c["type"] not in dropped]
    moment = timestamp_of(now)
    below = list(failures_below(clique for m in by_replica for _, clique in m if clique is not None))
    is_whole = len(available) == replicas and not below
    failure = last_failure(old.get("conditions"), below, is_whole=is_whole, now=moment)
    status["conditions"] = with_failure(conditions.merged(kept, said, now), failure)
    return {key: value for key, value in status.items() if value != []}


def _members(view: GroupView, group: Group, j: int) -> Iterator[tuple[str, Json | None]]:
    for clique in view.template.members(group):
        name = names.member_pod_clique(view.template.name, replica_index(view), group.name, j, clique.name)
        yield clique.name, view.cliques.get(name)


def _is_scheduled(clique: Json | None) -> bool:
    lives = clique is not None and not is_terminating(clique)
    return lives and conditions.is_true(clique, CONDITION_POD_CLIQUE_SCHEDULED)


def _holds(clique: Json | None) -> bool:
    """Nothing is known of a member without that condition: it does not count as healthy."""
    if clique is None or is_terminating(clique):
        return False
    breach = conditions.find(clique, CONDITION_MIN_AVAILABLE_BREACHED)
    return breach is not None and breach["status"] != "True"


def _is_converged(view: GroupView, name: str, clique: Json | None) -> bool:
    """The member's pods are all of this template, whether they are Ready or not."""
    if clique is None or is_terminating(clique):
        return False
    status, template = clique.get("status") or {}, view.template
    return (
        label(clique, LABEL_POD_TEMPLATE_HASH) == template.pod_template_hashes[name]
        and status.get("currentPodTemplateHash") == template.pod_template_hashes[name]
        and status.get("currentPodCliqueSetGenerationHash") == template.generation_hash
    )


def _is_current(view: GroupView, name: str, clique: Json | None) -> bool:
    template = view.template
    if clique is None or is_terminating(clique):
        return False
    return clique_is_current(clique, template.pod_template_hashes[name], template.generation_hash)
