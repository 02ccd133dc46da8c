"""What the scheduler behind a workload needs besides its name: one interface, an entry for each (grove-behaviour 10.3).

    grove-scheduler    reads PodGangs itself; knows topologies
    kai-scheduler      a PodGroup beside each PodGang, a Topology beside each ClusterTopologyBinding, marks on the pods
    default-scheduler  nothing
    volcano            marks on the pods
    lpx-scheduler      nothing

A workload chooses by its pods' `schedulerName`; none chosen is the configured default. A name that is not enabled gets
what `default-scheduler` gets: nothing but the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from grove_operator.api.constants import LABEL_POD_CLIQUE, LABEL_POD_GANG, SCHEDULER_NAME
from grove_operator.api.kinds import Json
from grove_operator.core import kai
from grove_operator.core.objects import label
from grove_operator.core.template import Template


class Backend(Protocol):
    """A scheduler as the operator sees it."""

    @property
    def name(self) -> str: ...

    def mark_pod(self, pod: Json) -> None:
        """Add to a pod to be what the scheduler finds its gang by."""
        ...

    def gang_annotations(self, template: Template) -> Mapping[str, str]:
        """What stands on every PodGang of this scheduler beside what the set itself says."""
        ...

    def gang_objects(self, gang: Json) -> tuple[Json, ...]:
        """Objects of the scheduler's own that a live PodGang controls. ValueError when it can't be expressed."""
        ...

    def topology(self, binding: Json) -> Json | None:
        """The scheduler's own object for a ClusterTopologyBinding; None when it has none."""
        ...


@dataclass(frozen=True, slots=True)
class NameOnly:
    """A scheduler that needs nothing but its name on the pods."""

    name: str

    def mark_pod(self, pod: Json) -> None:
        return

    def gang_annotations(self, template: Template) -> Mapping[str, str]:
        return {}

    def gang_objects(self, gang: Json) -> tuple[Json, ...]:
        return ()

    def topology(self, binding: Json) -> Json | None:
        return None


@dataclass(frozen=True, slots=True)
class Volcano(NameOnly):
    """Pods name their gang in both annotations that Volcano has used."""

    def mark_pod(self, pod: Json) -> None:
        gang = label(pod, LABEL_POD_GANG)
        for key in ("scheduling.k8s.io/group-name", "scheduling.volcano.sh/group-name"):
            pod["metadata"].setdefault("annotations", {})[key] = gang


@dataclass(frozen=True, slots=True)
class Kai(NameOnly):
    """KAI's own pod grouper is told to keep away; gangs and topologies are written in its form."""

    def mark_pod(self, pod: Json) -> None:
        meta = pod["metadata"]
        meta.setdefault("annotations", {}).update(
            {kai.SKIP_POD_GROUPER: "true", kai.POD_GROUP_NAME: label(pod, LABEL_POD_GANG)}
        )
        meta["labels"][kai.SUBGROUP_NAME] = label(pod, LABEL_POD_CLIQUE)

    def gang_annotations(self, template: Template) -> Mapping[str, str]:
        said = [*template.mirrored_labels, *template.mirrored_annotations]
        queues = (c.labels.get(kai.QUEUE) or c.annotations.get(kai.QUEUE) for c in template.cliques)
        queue = next((queue for queue in queues if queue), "")
        return {kai.SKIP_POD_GROUPER: "true", **({kai.QUEUE: queue} if queue and kai.QUEUE not in said else {})}

    def gang_objects(self, gang: Json) -> tuple[Json, ...]:
        return (kai.pod_group(gang),)

    def topology(self, binding: Json) -> Json | None:
        return kai.topology(binding)


_ALL: tuple[Backend, ...] = (
    NameOnly(SCHEDULER_NAME),
    NameOnly("default-scheduler"),
    Kai("kai-scheduler"),
    Volcano("volcano"),
    NameOnly("lpx-scheduler"),
)
BACKENDS: Mapping[str, Backend] = {backend.name: backend for backend in _ALL}


def backend_of(name: str, enabled: tuple[str, ...]) -> Backend:
    """The backend of a scheduler's name."""
    return BACKENDS[name] if name in enabled and name in BACKENDS else NameOnly(name)
