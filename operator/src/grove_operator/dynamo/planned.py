"""What a planner has to know of a worker, from the graph alone: GPUs, model, and how it registers with the runtime.

Since release 1.6 planners read it in the graph's status instead of guessing from commands.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from grove_operator.api.dynamo_podtemplate import GPU
from grove_operator.api.kinds import Json
from grove_operator.dynamo.command import text_of
from grove_operator.dynamo.graph import Component
from grove_operator.dynamo.podspec import gpus

NAME_FLAGS = ("--served-model-name", "--model-name")
MODEL_FLAGS = ("--model", "--model-path")
RUNTIME_NAMES = {"prefill": "prefill", "decode": "backend", "worker": "backend"}


def planned(component: Component) -> Json:
    """Status fields of a worker; nothing of others."""
    if not component.is_worker:
        return {}
    kind = str(component.spec.get("type") or component.component_type)
    out: Json = {
        "gpusPerEngine": gpus(component) * component.nodes,
        "gpusPerReplica": _all_gpus(component) * component.nodes,
        "runtimeComponentName": RUNTIME_NAMES.get(kind, "backend"),
    }
    if model := served_model(component):
        out["servedModelName"] = model
    return out


def served_model(component: Component) -> str:
    """The first name behind a flag that names what is served, else the model itself; "" where no flag tells."""
    text = text_of(component.main_container)
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return _value_of(words, NAME_FLAGS) or _value_of(words, MODEL_FLAGS)


def _value_of(words: Sequence[str], flags: Sequence[str]) -> str:
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in flags:
            return value if equals else (words[position + 1] if position + 1 < len(words) else "")
    return ""


def _all_gpus(component: Component) -> int:
    """Of all containers of one pod: sidecars count in what a replica costs."""
    containers = (component.template.get("spec") or {}).get("containers") or ()
    sidecars = [c for c in containers if c is not component.main_container]
    limits = [((c.get("resources") or {}).get("limits") or {}).get(GPU, 0) for c in sidecars]
    return gpus(component) + sum(int(limit) for limit in limits)
