"""The Grove API, whole: full counts."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path

from grove_operator.localcluster.controlplane_bare import bare_control_plane
from tests.prove.proof import Figures, Progress, Proof
from tests.support.acceptance import accepted_by
from tests.support.fuzz import fuzz
from tests.support.older_servers import VERSIONS, older_apiserver
from tests.support.roundtrip import Server, generated
from tests.support.servers import with_crds


def malformed_objects(seed: int, count: int, progress: Progress) -> Figures:
    """Faults, and nothing else, for whatever an object holds."""
    tally = fuzz(seed, count, progress)
    return {"malformed objects": tally.cases, "faults told": tally.faults, "still valid": tally.valid}


def round_trips(seed: int, count: int, progress: Progress) -> Figures:
    """Generated objects of Grove's kinds through the pinned API server."""
    with (
        tempfile.TemporaryDirectory() as root,
        bare_control_plane(Path(root)) as plane,
        asyncio.Runner() as runner,
        with_crds(runner, plane.kubeconfig) as api,
    ):
        return {"objects unchanged": sum(generated(Server(api, runner), seed, count, progress).values())}


def older_server(version: str, seed: int, count: int, progress: Progress) -> Figures:
    """The CRDs on an API server of an older release."""
    figures = accepted_by(older_apiserver(version), seed, count)
    progress(count)
    return figures


def proofs() -> list[Proof]:
    return [
        Proof(
            "malformed",
            "Malformed objects through defaults, validation, conversion and `grove validate` raise nothing but faults",
            malformed_objects,
            10_000,
            2_500,
        ),
        Proof(
            "round-trip",
            "Generated objects go model -> YAML -> API server -> model unchanged",
            round_trips,
            6_000,
            2_000,
        ),
        *(
            Proof(
                f"kubernetes-{version}",
                f"kube-apiserver {version} serves the CRDs, refuses by their rules and keeps objects unchanged",
                partial(older_server, version),
                600,
                600,
            )
            for version in VERSIONS
        ),
    ]
