"""Manifests through an API server and back: the examples, and a sample of generated ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grove_operator.api.crds import DEFINITIONS
from grove_operator.localcluster.controlplane_bare import BareControlPlane
from tests.support.roundtrip import Server, generated, travels_unchanged
from tests.support.servers import with_crds
from tests.unit.api.manifests import everything, podgangset

pytestmark = pytest.mark.needs_tools
EXAMPLES = Path(__file__).parents[3] / "examples"
BY_KIND = {(d.kind.api_version, d.kind.kind): d for d in DEFINITIONS}
MANIFESTS = [
    (path, document)
    for path in sorted(EXAMPLES.rglob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if isinstance(document, dict) and (document.get("apiVersion"), document.get("kind")) in BY_KIND
]


@pytest.fixture(scope="module")
def server(control_plane: BareControlPlane) -> Iterator[Server]:
    with asyncio.Runner() as runner, with_crds(runner, control_plane.kubeconfig) as api:
        yield Server(api, runner)


def test_there_are_examples() -> None:
    assert len(MANIFESTS) >= 6


@pytest.mark.parametrize(
    ("path", "manifest"), MANIFESTS, ids=lambda part: part.parent.name if isinstance(part, Path) else ""
)
def test_an_example_travels_unchanged(server: Server, path: Path, manifest: Any) -> None:
    definition = BY_KIND[manifest["apiVersion"], manifest["kind"]]
    if definition.kind.namespaced:
        manifest["metadata"]["namespace"] = "default"
    travels_unchanged(server, definition, manifest)


@pytest.mark.parametrize("manifest", [everything(), podgangset()], ids=["podcliqueset", "podgangset"])
def test_an_object_that_says_everything_travels_unchanged(server: Server, manifest: Any) -> None:
    travels_unchanged(server, BY_KIND[manifest["apiVersion"], manifest["kind"]], manifest)


def test_generated_objects_travel_unchanged(server: Server) -> None:
    """180 of the 6,000 of `make prove ISSUE=4`."""
    assert sum(generated(server, 4, 180).values()) == 180
