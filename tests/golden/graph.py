"""A story's object graph: read it, compare it with what a person wrote down, show it.

    stories/<name>/input.yaml    what a user applies: one PodCliqueSet, and what it refers to
    stories/<name>/expect.yaml   written by hand: all names, pods by PodClique, key fields, environment of pods
    stories/<name>/graph.yaml    everything that exists at rest, recorded

Pods are known by their hostname, since their names end in a hash over a UID; revisions by set and number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from grove_operator.api.constants import SCHEDULER_NAME
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    COMPUTE_DOMAIN,
    CONTROLLER_REVISION,
    HPA,
    KAI_POD_GROUP,
    KAI_TOPOLOGY,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    PRIORITY_CLASS,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    ROLE,
    ROLE_BINDING,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from grove_operator.core.settings import Settings

STORIES_FOLDER = Path(__file__).parent / "stories"
STORIES = sorted(path.name for path in STORIES_FOLDER.iterdir() if path.is_dir())
OPTIONAL = {"nvlink-domains", "kai-scheduler"}
"""Stories that need what is not on by default."""
KINDS: tuple[Kind, ...] = (
    CLUSTER_TOPOLOGY_BINDING, COMPUTE_DOMAIN, CONTROLLER_REVISION, HPA, KAI_POD_GROUP, KAI_TOPOLOGY, POD, POD_CLIQUE,
    POD_CLIQUE_SET, POD_GANG, PRIORITY_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, ROLE, ROLE_BINDING,
    SCALING_GROUP, SECRET, SERVICE, SERVICE_ACCOUNT,
)  # fmt: skip
SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def settings_of(story: str) -> Settings:
    """What the operator is configured with for a story."""
    if story not in OPTIONAL:
        return Settings()
    return Settings(nvlink_enabled=True, backends=(SCHEDULER_NAME, "default-scheduler", "kai-scheduler"))


def inputs(story: str) -> list[Json]:
    """The manifests of a story, namespaced ones in a namespace of the story's name."""
    documents: list[Json] = list(yaml.safe_load_all((STORIES_FOLDER / story / "input.yaml").read_text()))
    by_kind = {kind.kind: kind for kind in KINDS}
    for document in documents:
        if by_kind[document["kind"]].namespaced:
            document["metadata"]["namespace"] = story
    return documents


def expectation(story: str) -> Json:
    said: Json = yaml.safe_load((STORIES_FOLDER / story / "expect.yaml").read_text())
    return said


def normal(objects: Iterable[Json]) -> dict[str, Json]:
    """By `Kind/name`, pods by hostname everywhere; without what the server sets, conditions as type: status."""
    found = list(objects)
    names = {pod["metadata"]["name"]: pod["spec"]["hostname"] for pod in found if pod["kind"] == POD.kind}
    names |= {r["metadata"]["name"]: _revision_name(r) for r in found if r["kind"] == CONTROLLER_REVISION.kind}
    graph: dict[str, Json] = {}
    for obj in found:
        meta = {k: v for k, v in obj["metadata"].items() if k not in SERVER_SET}
        for reference in meta.get("ownerReferences", []):
            for name in ("uid", "blockOwnerDeletion", "controller"):
                assert reference.pop(name)
        shown: Json = _renamed({**obj, "metadata": meta}, names)
        for group in shown["spec"].get("podgroups", []) if shown["kind"] == POD_GANG.kind else []:
            group["podReferences"].sort(key=lambda reference: str(reference["name"]))
        said = (shown.get("status") or {}).get("conditions")
        if isinstance(said, list):
            shown["status"]["conditions"] = {condition["type"]: condition["status"] for condition in said}
        graph[f"{shown['kind']}/{shown['metadata']['name']}"] = shown
    return dict(sorted(graph.items()))


def _revision_name(revision: Json) -> str:
    return f"{revision['metadata']['labels']['app.kubernetes.io/part-of']}-revision-{revision['revision']}"


def faults(expect: Json, graph: dict[str, Json]) -> list[str]:
    """Everything in which a graph is not as a person wrote it down; empty when it is."""
    found: dict[str, list[str]] = {}
    for key in graph:
        kind, _, name = key.partition("/")
        if kind != POD.kind:
            found.setdefault(kind, []).append(name)
    wrong = [
        f"{kind}: {sorted(found.get(kind, []))}, not {sorted(expect['names'].get(kind, []))}"
        for kind in sorted({*found, *expect["names"]})
        if sorted(found.get(kind, [])) != sorted(expect["names"].get(kind, []))
    ]
    pods = Counter(o["metadata"]["labels"]["grove.io/podclique"] for k, o in graph.items() if k.startswith("Pod/"))
    if pods != Counter(expect["pods"]):
        wrong.append(f"pods: {dict(pods)}, not {expect['pods']}")
    for key, said in expect["objects"].items():
        wrong += [f"{key}{where}" for where in lacks(graph.get(key), said)]
    for name, said in (expect.get("environment") or {}).items():
        for container in graph[f"Pod/{name}"]["spec"]["containers"]:
            variables = {v["name"]: v.get("value") for v in container["env"]}
            wrong += [f"environment of {name}: {where}" for where in lacks(variables, said)]
    return wrong


def lacks(live: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """Where `live` does not hold `wanted`: mappings may hold more, lists not, null means absent or empty."""
    if wanted is None:
        if live not in (None, [], {}, ""):
            yield f"{path} is {live!r}, should be absent"
    elif isinstance(wanted, dict):
        live = {} if live is None else live
        if not isinstance(live, dict):
            yield f"{path} is {live!r}, should hold {wanted!r}"
            return
        for key, value in wanted.items():
            yield from lacks(live.get(key), value, f"{path}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            yield f"{path} is {live!r}, should be {wanted!r}"
            return
        for n, (one, other) in enumerate(zip(live, wanted, strict=True)):
            yield from lacks(one, other, f"{path}[{n}]")
    elif live != wanted and not (wanted is False and live is None):
        yield f"{path} is {live!r}, should be {wanted!r}"


def shown(graph: dict[str, Json]) -> str:
    """The recorded form: whole objects; of the pods of one PodClique the first whole, the others by name alone."""
    documents: list[Json] = []
    others: dict[str, list[str]] = {}
    for key, obj in graph.items():
        if obj["kind"] == POD.kind:
            clique = obj["metadata"]["labels"]["grove.io/podclique"]
            if clique in others:
                others[clique].append(obj["metadata"]["name"])
                continue
            others[clique] = []
        documents.append({"object": key, **_untimed(obj)})
    documents.append({"further pods": {clique: names for clique, names in others.items() if names}})
    return yaml.safe_dump_all(documents, sort_keys=True, width=120, default_flow_style=None)


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _untimed(v) for k, v in value.items() if not k.endswith(("Time", "startedAt"))}
    return [_untimed(v) for v in value] if isinstance(value, list) else value


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value
