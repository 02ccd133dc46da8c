"""One PodCliqueSet replica: Service, standalone PodCliques, scaling groups, autoscalers, PodGangs."""

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
from grove_operator.api.kinds import HPA, POD_CLIQUE, SCALING_GROUP, SERVICE, Json, Kind
from grove_operator.core.cliques import standalone_clique
from grove_operator.core.objects import child, default_labels
from grove_operator.core.observed import ReplicaView
from grove_operator.core.outcome import Outcome
from grove_operator.core.podgangs import pod_gangs
from grove_operator.core.settings import Settings
from grove_operator.core.template import Group, Template


def reconcile(view: ReplicaView, now: datetime, settings: Settings) -> Outcome:
    """Everything of replica `view.index`; nothing at all when the set no longer has that replica."""
    template, i = view.template, view.index
    if i >= template.replicas:
        return Outcome()
    children = [
        headless_service(template, i),
        *(standalone_clique(template, i, clique) for clique in template.standalone),
        *(scaling_group(template, i, group) for group in template.groups),
        *autoscalers(template, i),
        *pod_gangs(view, now, settings),
    ]
    return Outcome(tuple(children))


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
            "selector": {**default_labels(template.name), **index},
            "publishNotReadyAddresses": publish,
        },
    )


def scaling_group(template: Template, i: int, group: Group) -> Json:
    """`spec.replicas` is for creation: a live group keeps its own."""
    annotations = dict(group.annotations)
    inherited = (template.obj["metadata"].get("annotations") or {}).get(ANNOTATION_MNNVL_GROUP)
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
    if config.get("metrics"):
        spec["metrics"] = config["metrics"]
    labels = {LABEL_PCS_REPLICA_INDEX: str(i)}
    return child(HPA, template.obj, target, template.name, COMPONENT_HPA, labels=labels, spec=spec)
