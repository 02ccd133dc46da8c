"""Writes the structural schemas of Kubernetes' own types that our CRDs embed, from a kube-apiserver's OpenAPI v3.

    PYTHONPATH=toolchain:operator/src .venv/bin/python -m core_schemas

The server is the pinned kube-apiserver of the tool chain, so the file changes only with the pin. Nothing is retyped.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp

from core_schemas.structural import Inliner
from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane

WANTED = {
    # name in our file: (OpenAPI document, schema)
    "PodSpec": ("api/v1", "io.k8s.api.core.v1.PodSpec"),
    "Container": ("api/v1", "io.k8s.api.core.v1.Container"),
    "Probe": ("api/v1", "io.k8s.api.core.v1.Probe"),
    "TopologySpreadConstraint": ("api/v1", "io.k8s.api.core.v1.TopologySpreadConstraint"),
    "MetricSpec": ("apis/autoscaling/v2", "io.k8s.api.autoscaling.v2.MetricSpec"),
    "ResourceClaimTemplateSpec": ("apis/resource.k8s.io/v1", "io.k8s.api.resource.v1.ResourceClaimTemplateSpec"),
}


async def fetch(server: BareControlPlane, paths: list[str]) -> list[Any]:
    """The JSON documents at these paths of the API server."""
    context = ssl.create_default_context(cafile=server.ca)
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(server.server, headers=headers, raise_for_status=True) as session:
        return [await (await session.get(f"/{path}", ssl=context)).json() for path in paths]


def main() -> None:
    target = Path(str(files("grove_operator.api"))) / "data" / "core-schemas.json"
    with tempfile.TemporaryDirectory() as root, bare_control_plane(Path(root)) as server:
        paths = sorted({path for path, _ in WANTED.values()})
        version, *answers = asyncio.run(fetch(server, ["version", *(f"openapi/v3/{path}" for path in paths)]))
    documents = dict(zip(paths, answers, strict=True))
    schemas = {
        name: Inliner(documents[path]["components"]["schemas"]).inline(schema)
        for name, (path, schema) in sorted(WANTED.items())
    }
    content = {"kubernetes": version["gitVersion"], "schemas": schemas}
    target.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n")
    sys.stdout.write(f"{target.name}: Kubernetes {content['kubernetes']}, {target.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
