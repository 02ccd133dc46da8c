"""One PodCliqueSet replica: Service, claims, standalone PodCliques, scaling groups, autoscalers, PodGangs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from grove_operator.api import names
from grove_operator.api.constants import (
    ANNOTATION_MNNVL_GROUP,
    COMPONENT_HEADLESS_SERVICE,
    COMPONENT_HPA,
    COMPONENT_SCALING_GROUP,
    LABEL_PCS_REPLICA_INDEX,
)
from grove_operator.api.kinds import HPA, POD_CLIQUE, SCALING_GROUP, SERVICE, Json, Kind, ObjectKey
from grove_operator.api.labels import replica_labels
from grove_operator.core.adoption import remembering
from grove_operator.core.cliques import standalone_clique
from grove_operator.core.nvlink import compute_domains
from grove_operator.core.objects import child
from grove_operator.core.observed import ReplicaView
from grove_operator.core.outcome import EventSpec, Outcome
from grove_operator.core.podgangs import pod_gangs
from grove_operator.core.settings import Settings
from grove_operator.core.sharing import replica_claims
from grove_operator.core.surge import indices
from grove_operator.core.template import Group, Template
from grove_operator.core.termination import Verdict, being_terminated, replica_verdict


def reconcile(view: ReplicaView, now: datetime, settings: Settings) -> Outcome:
    """Everything of replica `view.index`; nothing at all when the set no longer has that replica."""
    template, i = view.template, view.index
    if i not in indices(template):
        return Outcome()
    claims = replica_claims(template, i, view.claim_templates)
    verdict = replica_verdict(template, view.cliques, view.groups, now)
    made = [_sized(standalone_clique(template, i, clique), view) for clique in template.standalone]
    cliques = [remembering(clique, view.cliques.get(clique["metadata"]["name"])) for clique in made]
    children = [
        headless_service(template, i),
        *claims.manifests,
        *(compute_domains(template, i) if settings.nvlink_enabled else ()),
        *(c for c in cliques if c["metadata"]["name"] not in verdict.doomed),
        *(_flagged(scaling_group(template, i, group), view, verdict, now) for group in template.groups),
        *autoscalers(template, i),
        *pod_gangs(view, now, settings),
    ]
    doomed = tuple(ObjectKey(POD_CLIQUE.kind, template.namespace, name) for name in sorted(verdict.doomed))
    events = []
    if doomed:
        what = f"minAvailable of replica {i} was breached for all of terminationDelay: deleted {len(doomed)} PodCliques"
        events.append(EventSpec(template.obj, "PodCliqueSetReplicaDeleteSuccessful", what))
    return Outcome(
        tuple(children),
        None,
        verdict.wake_after_s,
        tuple(events),
        doomed=doomed,
        troubles=claims.troubles,
        kept=claims.kept,
    )


def _sized(clique: Json, view: ReplicaView) -> Json:
    """A PodClique that is made again after a recycle has the size that its autoscaler last wanted."""
    autoscaler = view.autoscalers.get(clique["metadata"]["name"])
    wanted = ((autoscaler or {}).get("status") or {}).get("desiredReplicas")
    if autoscaler is None or not wanted:
        return clique
    bounds = autoscaler["spec"]
    replicas = min(max(wanted, bounds.get("minReplicas") or 1), bounds["maxReplicas"])
    return {**clique, "spec": {**clique["spec"], "replicas": replicas}}


def _flagged(group: Json, view: ReplicaView, verdict: Verdict, now: datetime) -> Json:
    name = group["metadata"]["name"]
    if name not in verdict.flagged:
        return group
    return {**group, "status": being_terminated(view.groups[name], now)}


def headless_service(template: Template, i: int) -> Json:
    config = template.obj["spec"]["template"].get("headlessServiceConfig")
    publish = True if config is None else bool(config.get("publishNotReadyAddresses", True))
    index = {LABEL_PCS_REPLICA_INDEX: str(i)}
    return child(
        SERVICE,
        template.obj,
        names.headless_service(template.name, i),
        template.name,
        COMPONENT_HEADLESS_SERVICE,
        labels=index,
        spec={
            "clusterIP": "None",
            "selector": replica_labels(template.name, i),
            "publishNotReadyAddresses": publish or None,  # the API server never keeps a false
        },
    )


def scaling_group(template: Template, i: int, group: Group) -> Json:
    """`spec.replicas` is for creation: a live group keeps its own."""
    annotations = dict(group.annotations)
    inherited = template.annotations.get(ANNOTATION_MNNVL_GROUP)
    if inherited is not None:
        annotations.setdefault(ANNOTATION_MNNVL_GROUP, inherited)
    return child(
        SCALING_GROUP,
        template.obj,
        names.scaling_group(template.name, i, group.name),
        template.name,
        COMPONENT_SCALING_GROUP,
        labels={LABEL_PCS_REPLICA_INDEX: str(i)},
        annotations=annotations,
        spec={
            "replicas": group.replicas,
            "minAvailable": group.min_available,
            "cliqueNames": list(group.clique_names),
        },
    )


DEFAULT_METRICS: list[Json] = [
    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
]
"""Kubernetes' own, said aloud: otherwise metrics that a user takes out of the template would stay."""


def autoscalers(template: Template, i: int) -> Iterator[Json]:
    for clique in template.standalone:
        if config := clique.spec.get("autoScalingConfig"):
            name = names.pod_clique(template.name, i, clique.name)
            yield _autoscaler(template, i, POD_CLIQUE, name, config, clique.replicas)
    for group in template.groups:
        if group.scale_config:
            name = names.scaling_group(template.name, i, group.name)
            yield _autoscaler(template, i, SCALING_GROUP, name, group.scale_config, group.replicas)


def _autoscaler(template: Template, i: int, kind: Kind, target: str, config: Json, replicas: int) -> Json:
    least = config.get("minReplicas")
    spec: Json = {
        "scaleTargetRef": {"apiVersion": kind.api_version, "kind": kind.kind, "name": target},
        "minReplicas": replicas if least is None else least,
        "maxReplicas": config["maxReplicas"],
    }
    spec["metrics"] = config.get("metrics") or DEFAULT_METRICS
    labels = {LABEL_PCS_REPLICA_INDEX: str(i)}
    return child(HPA, template.obj, target, template.name, COMPONENT_HPA, labels=labels, spec=spec)
