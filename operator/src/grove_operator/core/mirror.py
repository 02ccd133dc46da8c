"""Labels and annotations of a PodCliqueSet on its PodGangs: what it gains and loses, they do (grove-behaviour 3.3).

Which keys were copied stands on the gang itself, so that those of others are told from those that the set has lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from grove_operator.api.constants import ANNOTATION_MIRRORED
from grove_operator.api.kinds import Json
from grove_operator.core.template import Template


def mirrored(template: Template, live: Json | None) -> tuple[Json, Json]:
    """(labels, annotations) to hold on a gang; null for keys that were copied and are gone."""
    labels, annotations = template.mirrored_labels, template.mirrored_annotations
    before = _recorded(live)
    record = {kind: sorted(keys) for kind, keys in (("annotations", annotations), ("labels", labels)) if keys}
    said: Json = {ANNOTATION_MIRRORED: json.dumps(record, separators=(",", ":")) if record else None}
    return (
        {**_nulls(before.get("labels", ())), **labels},
        {**_nulls(before.get("annotations", ())), **annotations, **said},
    )


def _recorded(live: Json | None) -> dict[str, list[str]]:
    text = ((live or {"metadata": {}})["metadata"].get("annotations") or {}).get(ANNOTATION_MIRRORED, "")
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _nulls(keys: Iterable[str]) -> Json:
    return dict.fromkeys(keys)
