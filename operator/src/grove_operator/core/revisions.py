"""The history of what a set's pods were made from, as StatefulSets keep theirs: one ControllerRevision for each.

    template changes ────────> a revision with the next number
    template changes back ───> the revision that there was gets the next number
    more than the limit ─────> those with the lowest numbers go, never the current one

A revision holds what an update rolls (labels, annotations and pod spec of each clique, the priority class) and nothing
else: sizes and strategies of today stay when an old one is restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grove_operator.api.constants import (
    ANNOTATION_CHANGE_CAUSE,
    ANNOTATION_REVISION_LIMIT,
    COMPONENT_REVISION,
    LABEL_REVISION_HASH,
)
from grove_operator.api.kinds import CONTROLLER_REVISION, Json
from grove_operator.core.objects import child
from grove_operator.core.template import Template

DEFAULT_LIMIT = 10
"""Revisions kept beside the current one, as for StatefulSets."""
CLIQUE_FIELDS = ("labels", "annotations")


class LackingCliqueError(Exception):
    """A revision knows nothing of a clique that the set has."""


def revisions(template: Template, live: Iterable[Json]) -> list[Json]:
    """Those to keep, the current one with the highest number."""
    known = sorted(live, key=number)
    current = current_of(template, known)
    newest = number(known[-1]) if known else 0
    others = [revision for revision in known if revision is not current]
    kept = others[max(0, len(others) - limit(template)) :]
    if current is None:
        return [*map(_held, kept), _made(template, newest + 1)]
    held = _held(current)
    held["revision"] = newest if current is known[-1] else newest + 1
    if cause := template.annotations.get(ANNOTATION_CHANGE_CAUSE):
        held["metadata"]["annotations"] = {ANNOTATION_CHANGE_CAUSE: cause}
    return [*map(_held, kept), held]


def current_of(template: Template, known: Iterable[Json]) -> Json | None:
    """The revision that holds what the set holds now, or bears its hash: spelling out a default changes no pod."""
    now, name = content(template.obj), _name(template)
    known = list(known)
    same = (revision for revision in known if revision.get("data") == now)
    return next(same, next((revision for revision in known if revision["metadata"]["name"] == name), None))


def content(pcs: Json) -> Json:
    """What a revision of the set would hold now."""
    template = pcs["spec"]["template"]
    said: Json = {"cliques": [_clique(entry) for entry in template.get("cliques") or ()]}
    if template.get("priorityClassName"):
        said["priorityClassName"] = template["priorityClassName"]
    return {"spec": {"template": said}}


def restored(pcs: Json, revision: Json) -> Json:
    """The merge patch that brings a revision back. Raises LackingCliqueError."""
    held = revision["data"]["spec"]["template"]
    by_name: Mapping[str, Json] = {entry["name"]: entry for entry in held["cliques"]}
    cliques = []
    for entry in pcs["spec"]["template"].get("cliques") or ():
        former = by_name.get(entry["name"])
        if former is None:
            raise LackingCliqueError(
                f"revision {number(revision)} has no clique {entry['name']}; choose another revision"
            )
        kept = {k: v for k, v in entry.items() if k not in CLIQUE_FIELDS}
        said = {k: former[k] for k in CLIQUE_FIELDS if former.get(k)}
        cliques.append({**kept, **said, "spec": {**entry["spec"], "podSpec": former["spec"]["podSpec"]}})
    template: dict[str, Any] = {"cliques": cliques, "priorityClassName": held.get("priorityClassName")}
    return {"spec": {"template": template}}


def number(revision: Json) -> int:
    return int(revision.get("revision") or 0)


def limit(template: Template) -> int:
    """How many revisions are kept beside the current one."""
    text = template.annotations.get(ANNOTATION_REVISION_LIMIT, "")
    return int(text) if text.isdigit() else DEFAULT_LIMIT


def _clique(entry: Json) -> Json:
    said: Json = {name: entry[name] for name in CLIQUE_FIELDS if entry.get(name)}
    return {"name": entry["name"], **said, "spec": {"podSpec": entry["spec"].get("podSpec") or {}}}


def _made(template: Template, revision: int) -> Json:
    cause = template.annotations.get(ANNOTATION_CHANGE_CAUSE)
    return child(
        CONTROLLER_REVISION,
        template.obj,
        _name(template),
        template.name,
        COMPONENT_REVISION,
        labels={LABEL_REVISION_HASH: template.generation_hash},
        annotations={ANNOTATION_CHANGE_CAUSE: cause} if cause else None,
        data=content(template.obj),
        revision=revision,
    )


def _name(template: Template) -> str:
    return f"{template.name}-{template.generation_hash}"


def _held(revision: Json) -> Json:
    meta = {"name": revision["metadata"]["name"], "namespace": revision["metadata"]["namespace"]}
    kind = CONTROLLER_REVISION
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
