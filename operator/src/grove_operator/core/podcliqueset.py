"""The PodCliqueSet itself: what all its replicas share, and its status (grove-behaviour 1.1.6, 3.7 and 7.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from grove_operator.api import conditions, names
from grove_operator.api.constants import (
    COMPONENT_POD_ROLE,
    COMPONENT_POD_ROLE_BINDING,
    COMPONENT_POD_SERVICE_ACCOUNT,
    COMPONENT_SA_TOKEN_SECRET,
    CONDITION_SURGE,
    CONDITION_TOPOLOGY_LEVELS_UNAVAILABLE,
    LABEL_SCALING_GROUP,
)
from grove_operator.api.kinds import ROLE, ROLE_BINDING, SECRET, SERVICE_ACCOUNT, Json, ObjectKey
from grove_operator.api.labels import default_labels, selector_text
from grove_operator.core import rollout, surge
from grove_operator.core.availability import clique_is_current, group_is_current, reaches_least
from grove_operator.core.evidence import failures_below, is_news, last_failure, with_failure
from grove_operator.core.nametaken import name_taken, without_name_taken
from grove_operator.core.objects import child, label, timestamp_of
from grove_operator.core.observed import SetView, Trouble
from grove_operator.core.outcome import Outcome
from grove_operator.core.ratio import ratios
from grove_operator.core.revisions import revisions
from grove_operator.core.setconditions import EXCEEDED, set_conditions
from grove_operator.core.settings import Settings
from grove_operator.core.settling import settling_replicas
from grove_operator.core.sharing import set_claims
from grove_operator.core.startup import uses_ordering
from grove_operator.core.strategy import is_running
from grove_operator.core.template import Template
from grove_operator.core.topology import levels_condition


def reconcile(view: SetView, now: datetime, settings: Settings) -> Outcome:
    """Shared children, and the status counted over all replicas."""
    claims = set_claims(view.template, view.claim_templates)
    troubles = (*claims.troubles, *ratios(view.template)[1])
    status, wake_after_s = _status(replace(view, troubles=(*view.troubles, *troubles)), now, settings)
    children = (*shared_children(view.template), *revisions(view.template, view.revisions), *claims.manifests)
    told = conditions.find({"status": status}, CONDITION_SURGE)
    is_urgent = rollout.is_decision(view.template, status) or is_news(view.template.obj, status)
    is_urgent = is_urgent or surge.is_decision(view.template, told)
    mounted = ObjectKey(SECRET.kind, view.template.namespace, names.former_token_secret(view.template.name))
    kept = (*claims.kept, mounted)
    events = tuple(surge.news(view.template, told))
    return Outcome(children, status, wake_after_s, events, is_urgent=is_urgent, troubles=troubles, kept=kept)


def shared_children(template: Template) -> list[Json]:
    """The pods' ServiceAccount with its read rights; its token only where a start order needs it."""
    name, role = template.name, names.role(template.name)
    account = names.service_account(name)
    children = [
        child(
            SERVICE_ACCOUNT,
            template.obj,
            account,
            name,
            COMPONENT_POD_SERVICE_ACCOUNT,
            automountServiceAccountToken=True,
        ),
        child(
            ROLE,
            template.obj,
            role,
            name,
            COMPONENT_POD_ROLE,
            rules=[{"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "list", "watch"]}],
        ),
        child(
            ROLE_BINDING,
            template.obj,
            role,
            name,
            COMPONENT_POD_ROLE_BINDING,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": template.namespace}],
        ),
    ]
    if uses_ordering(template):
        secret = child(
            SECRET,
            template.obj,
            names.token_secret(name),
            name,
            COMPONENT_SA_TOKEN_SECRET,
            annotations={"kubernetes.io/service-account.name": account},
            type="kubernetes.io/service-account-token",
        )
        children.append(secret)
    return children


def last_errors(old: Iterable[Json] | None, troubles: Iterable[Trouble], now: datetime) -> list[Json]:
    """Today's troubles; one that was there before keeps its time, so that nothing is written for it."""
    times = {(e["code"], e["description"]): e["observedAt"] for e in old or ()}
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        {"code": t.code, "description": t.description, "observedAt": times.get((t.code, t.description), moment)}
        for t in sorted(set(troubles), key=lambda t: (t.code, t.description))
    ]


def _status(view: SetView, now: datetime, settings: Settings) -> tuple[Json, float | None]:
    template = view.template
    old = template.obj.get("status") or {}
    own = {*range(template.replicas)}
    up = {i for i in surge.indices(template) if _is_available(view, i)}
    current = {i for i in surge.indices(template) if _is_updated(view, i)}
    available, updated = len(own & up), len(own & up & current)
    said, wake_after_s = set_conditions(view, available, updated, now)
    is_stuck = any(verdict["reason"] == EXCEEDED for verdict in said)
    settling = settling_replicas(view.cliques.values())
    further = surge.judged(view, up, current, now, settling=settling, is_stuck=is_stuck)
    done = (up & current if further.is_there else current) - settling
    progress = rollout.progress(view, current, done, further, now)
    status = {
        **old,
        "observedGeneration": template.obj["metadata"].get("generation", 1),
        "replicas": template.replicas,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "hpaPodSelector": selector_text(default_labels(template.name)),
        "currentGenerationHash": template.generation_hash,
    }
    if progress is not None:
        status["updateProgress"] = progress
    levels = levels_condition(template, view.topology, enabled=settings.topology_enabled)
    surging = further.said if is_running(progress) else surge.ended(further)
    stale = {CONDITION_TOPOLOGY_LEVELS_UNAVAILABLE: levels, CONDITION_SURGE: surging}
    kept = [c for c in old.get("conditions") or () if stale.get(c["type"], True)]
    said += [{**surging, "observedGeneration": template.obj["metadata"].get("generation", 1)}] if surging else []
    said += name_taken(view.troubles, template.obj["metadata"].get("generation", 1))
    kept = without_name_taken(kept)
    merged = conditions.merged(kept, [*said, levels] if levels else said, now)
    below = list(failures_below([*view.groups.values(), *_standalone(view)]))
    is_whole = available == template.replicas and not below
    failure = last_failure(old.get("conditions"), below, is_whole=is_whole, now=timestamp_of(now))
    status["conditions"] = with_failure(merged, failure)
    status["lastErrors"] = last_errors(old.get("lastErrors"), view.troubles, now)
    if view.troubles:
        status["observedGeneration"] = old.get("observedGeneration", 0)
    waits_s = [s for s in (wake_after_s, further.wake_after_s) if s is not None]
    return {key: value for key, value in status.items() if value != []}, min(waits_s, default=None)


def _standalone(view: SetView) -> Iterator[Json]:
    return (clique for clique in view.cliques.values() if not label(clique, LABEL_SCALING_GROUP))


def _is_available(view: SetView, i: int) -> bool:
    template = view.template
    cliques = (view.cliques.get(names.pod_clique(template.name, i, c.name)) for c in template.standalone)
    groups = (view.groups.get(names.scaling_group(template.name, i, g.name)) for g in template.groups)
    return all(reaches_least(obj, "readyReplicas") for obj in cliques) and all(
        reaches_least(obj, "availableReplicas") for obj in groups
    )


def _is_updated(view: SetView, i: int) -> bool:
    template = view.template
    generation = template.generation_hash
    for clique in template.standalone:
        live = view.cliques.get(names.pod_clique(template.name, i, clique.name))
        if live is None or not clique_is_current(live, template.pod_template_hashes[clique.name], generation):
            return False
    groups = (view.groups.get(names.scaling_group(template.name, i, g.name)) for g in template.groups)
    return all(g and g["metadata"]["name"] not in view.stale_groups and group_is_current(g, generation) for g in groups)
