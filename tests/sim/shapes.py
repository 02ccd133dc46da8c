"""PodCliqueSets as tests write them: one line for each role and group."""

from __future__ import annotations

from typing import Any

from grove_operator.api.kinds import POD_CLIQUE_SET, Json


def clique(name: str, replicas: int, least: int | None = None, **spec: Any) -> Json:
    """A role; `spec` is put into its spec beside the usual container."""
    pods: Json = {"containers": [{"name": "main", "image": "x"}], **spec.pop("podSpec", {})}
    said: Json = {"roleName": name, "replicas": replicas, "podSpec": pods, **spec}
    return {"name": name, "spec": said if least is None else {**said, "minAvailable": least}}


def group(name: str, cliques: list[str], replicas: int, least: int = 1, **more: Any) -> Json:
    return {"name": name, "cliqueNames": cliques, "replicas": replicas, "minAvailable": least, **more}


def podcliqueset(cliques: list[Json], groups: list[Json] | None = None, *, replicas: int = 1, **template: Any) -> Json:
    """`ml/web`; `template` is put into its template."""
    return {
        "apiVersion": POD_CLIQUE_SET.api_version,
        "kind": POD_CLIQUE_SET.kind,
        "metadata": {"name": "web", "namespace": "ml"},
        "spec": {
            "replicas": replicas,
            "template": {"cliques": cliques, "podCliqueScalingGroups": groups or [], **template},
        },
    }
