"""Rules of shared resource claims (grove-behaviour 2.3) and of the NVLink annotation (2.6)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from grove_operator.api.constants import ANNOTATION_MNNVL_GROUP
from grove_operator.api.faults import Fault, one_of, path
from grove_operator.api.podcliqueset import (
    GroupResourceSharing,
    PodCliqueSet,
    ResourceSharingBase,
    SetResourceSharing,
)
from grove_operator.api.syntax import is_dns_label

TEMPLATE = "spec.template"


def sharing_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """Claim templates and the entries that refer to them, at all three levels."""
    template = pcs.spec.template
    inner: set[str] = set()
    for i, config in enumerate(template.resource_claim_templates or ()):
        field = path(TEMPLATE, "resourceClaimTemplates", i)
        if not config.name:
            yield Fault(f"{field}.name", "Required", "is empty", "name the template")
        elif config.name in inner:
            yield Fault(f"{field}.name", "Duplicate", f"{config.name!r} is used twice", "make it unique")
        inner.add(config.name)
        if not _requests(config.template_spec):
            where = f"{field}.templateSpec.spec.devices.requests"
            yield Fault(where, "Required", "is empty", "request at least one device")
    cliques = [clique.name for clique in template.cliques]
    groups = [group.name for group in template.pod_clique_scaling_groups or ()]
    field = f"{TEMPLATE}.resourceSharing"
    yield from _entry_faults(field, template.resource_sharing or (), inner)
    for i, shared in enumerate(template.resource_sharing or ()):
        yield from _filter_faults(f"{field}[{i}].filter", shared, cliques, groups)
    for i, clique in enumerate(template.cliques):
        yield from _entry_faults(path(TEMPLATE, "cliques", i, "resourceSharing"), clique.resource_sharing or (), inner)
    for i, group in enumerate(template.pod_clique_scaling_groups or ()):
        field = path(TEMPLATE, "podCliqueScalingGroups", i, "resourceSharing")
        yield from _entry_faults(field, group.resource_sharing or (), inner)
        for j, entry in enumerate(group.resource_sharing or ()):
            yield from _filter_faults(f"{field}[{j}].filter", entry, group.clique_names, ())


def _requests(template_spec: Mapping[str, Any]) -> object:
    spec = template_spec.get("spec")
    devices = spec.get("devices") if isinstance(spec, Mapping) else None
    return devices.get("requests") if isinstance(devices, Mapping) else None


def _entry_faults(field: str, entries: Sequence[ResourceSharingBase], inner: Collection[str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        if not entry.name:
            yield Fault(f"{field}[{i}].name", "Required", "is empty", "name a claim template")
        elif entry.name in seen:
            yield Fault(f"{field}[{i}].name", "Duplicate", f"{entry.name!r} is listed twice", "keep one of them")
        seen.add(entry.name)
        if entry.namespace and entry.name in inner:
            fact = f"{entry.name!r} is one of resourceClaimTemplates, which have no namespace"
            yield Fault(f"{field}[{i}].namespace", "Invalid", fact, "remove it")


def _filter_faults(
    field: str,
    entry: SetResourceSharing | GroupResourceSharing,
    cliques: Collection[str],
    groups: Collection[str],
) -> Iterator[Fault]:
    if entry.filter is None:
        return
    chosen_cliques = entry.filter.child_clique_names or []
    chosen_groups = getattr(entry.filter, "child_scaling_group_names", None) or []
    if not chosen_cliques and not chosen_groups:
        yield Fault(field, "Required", "chooses nothing", "name at least one part or remove the filter")
    for part, chosen, known in (
        ("childCliqueNames", chosen_cliques, cliques),
        ("childScalingGroupNames", chosen_groups, groups),
    ):
        for j, name in enumerate(chosen):
            if name not in known:
                yield Fault(
                    f"{field}.{part}[{j}]",
                    "NotFound",
                    f"{name!r} does not exist here",
                    one_of(known),
                )


def nvlink_places(pcs: PodCliqueSet) -> dict[str, str | None]:
    """Value of the NVLink annotation by place; places are named, so that updates can be compared."""
    template = pcs.spec.template
    annotations = pcs.metadata.get("annotations")
    own = annotations.get(ANNOTATION_MNNVL_GROUP) if isinstance(annotations, Mapping) else None
    out = {"metadata": own if isinstance(own, str) else None}
    for clique in template.cliques:
        out[f"{TEMPLATE}.cliques[{clique.name}]"] = (clique.annotations or {}).get(ANNOTATION_MNNVL_GROUP)
    for group in template.pod_clique_scaling_groups or ():
        out[f"{TEMPLATE}.podCliqueScalingGroups[{group.name}]"] = (group.annotations or {}).get(ANNOTATION_MNNVL_GROUP)
    return out


def nvlink_faults(pcs: PodCliqueSet, *, is_enabled: bool | None) -> Iterator[Fault]:
    """The annotation is `none` or a DNS label; groups need the feature (`is_enabled` None: not known, not judged)."""
    for place, value in nvlink_places(pcs).items():
        field = f"{place}.annotations[{ANNOTATION_MNNVL_GROUP}]"
        if value is None or value == "none":
            continue
        if not is_dns_label(value):
            yield Fault(field, "Invalid", f"{value!r} is neither none nor a DNS label", "use a short lower-case name")
        elif is_enabled is False:
            yield Fault(
                field, "Invalid", "automatic NVLink domains are disabled in the operator", "remove it or use none"
            )


def nvlink_change_faults(new: PodCliqueSet, old: PodCliqueSet) -> Iterator[Fault]:
    """The annotation is fixed at creation; cliques and groups are matched by name."""
    values, former = nvlink_places(new), nvlink_places(old)
    for place, value in values.items():
        if place not in former or value == former[place]:
            continue
        field = f"{place}.annotations[{ANNOTATION_MNNVL_GROUP}]"
        remedy = "set it back, or delete the PodCliqueSet and create it anew"
        if former[place] is None:
            yield Fault(field, "Forbidden", "cannot be added to a live object", remedy)
        elif value is None:
            yield Fault(field, "Forbidden", "cannot be removed from a live object", remedy)
        else:
            yield Fault(field, "Invalid", "cannot be changed", remedy)
