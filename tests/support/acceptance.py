"""What every supported API server has to make of our CRDs."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from grove_operator.api.crds import DEFINITIONS
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.engine.ports import ApiError
from grove_operator.localcluster.controlplane_bare import bare_control_plane
from tests.support.roundtrip import DRY, Server, generated, travels_unchanged
from tests.support.servers import serve_crds, with_crds
from tests.unit.api.manifests import changed, everything, podgangset

T = "spec.template"
CEL = [
    # place, value, and the field that the refusal names: all CEL rules of 1.1.4
    (f"{T}.topologyConstraint", {"topologyName": "x"}, f"{T}.topologyConstraint.pack"),
    (f"{T}.topologyConstraint", {"pack": {}}, f"{T}.topologyConstraint.pack"),
    (
        f"{T}.topologyConstraint",
        {"pack": {"required": "rack"}, "packDomain": "rack"},
        f"{T}.topologyConstraint.pack.required",
    ),
    (f"{T}.topologyConstraint", {"packDomain": "rack"}, f"{T}.topologyConstraint.packDomain"),
    (f"{T}.cliques.0.topologyConstraint", {"packDomain": "rack"}, f"{T}.cliques: Forbidden"),
    (
        f"{T}.podCliqueScalingGroups.0.topologyConstraint",
        {"packDomain": "rack"},
        f"{T}.podCliqueScalingGroups: Forbidden",
    ),
]


def accepted_by(apiserver: Path, seed: int, count: int) -> dict[str, float]:
    """Serves the CRDs, refuses by their rules, and takes `count` generated objects unchanged. Raises AssertionError."""
    with (
        tempfile.TemporaryDirectory() as root,
        bare_control_plane(Path(root), apiserver=apiserver) as plane,
        asyncio.Runner() as runner,
        with_crds(runner, plane.kubeconfig) as api,
    ):
        server = Server(api, runner)
        live = runner.run(serve_crds(api))
        for crd in live:
            said = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
            assert said.get("NonStructuralSchema", "False") == "False", crd["metadata"]["name"]
        by_kind = {d.kind.kind: d for d in DEFINITIONS}
        for obj in (everything(), podgangset()):
            travels_unchanged(server, by_kind[obj["kind"]], obj)
        for place, value, field in CEL:
            said_no = runner.run(refusal(server, changed(everything(), place, value)))
            assert field in said_no, f"{place}: {value}: {said_no}"
        taken = sum(generated(server, seed, count).values())
        return {"CRDs served": len(live), "CEL refusals": len(CEL), "objects unchanged": taken}


async def refusal(server: Server, obj: Json) -> str:
    try:
        await server.api.raw("POST", POD_CLIQUE_SET.path("default"), body=obj, params=DRY)
    except ApiError as error:
        return str(error)
    raise AssertionError(f"was accepted: {obj}")
