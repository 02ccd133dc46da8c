"""The plugin with the real engine: a program asks for components by their tokens, and Construct makes their children.

The engine is given the plugin as an executable: the pinned language host is too old to start one from its sources.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from tests.conformance.standin.collected import garbage_collector
from tests.support.programs import Program

pytestmark = pytest.mark.needs_tools
PLUGIN = Path(__file__).parents[3] / "plugin"
PROGRAM = """
import pulumi

PACKAGE = "grove-components:index:"
POD = {"containers": [{"name": "m", "image": "i"}]}
CLIQUE = {"name": "w", "spec": {"roleName": "w", "replicas": 2, "podSpec": POD}}


class Remote(pulumi.ComponentResource):
    def __init__(self, kind, name, args, opts=None):
        super().__init__(PACKAGE + kind, name, args, opts, remote=True)


crds = Remote("GroveCrds", "crds", {"deleteCrds": True})
spec = {"replicas": 1, "template": {"cliques": [CLIQUE]}}
args = {"namespace": "default", "spec": spec, "wait": "none"}
Remote("PodCliqueSet", "from-afar", args, pulumi.ResourceOptions(depends_on=[crds]))
"""


YAML_PROGRAM = {
    "from-yaml": {
        "type": "grove-components:index:PodCliqueSet",
        "properties": {
            "namespace": "default",
            "wait": "none",
            "spec": {
                "replicas": 1,
                "template": {
                    "cliques": [
                        {
                            "name": "w",
                            "spec": {"roleName": "w", "podSpec": {"containers": [{"name": "m", "image": "i"}]}},
                        }
                    ]
                },
            },
        },
    }
}


@pytest.fixture(scope="module")
def empty_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    """A control plane of its own, without CRDs: the program makes them."""
    with bare_control_plane(tmp_path_factory.mktemp("plugin")) as running:
        yield running


def with_plugin(folder: Path) -> dict[str, Any]:
    """The project's `plugins` key, with our plugin as an executable below `folder`."""
    executable = folder / "plugin" / "pulumi-resource-grove-components"
    executable.parent.mkdir()
    executable.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(PLUGIN))} "$@"\n')
    executable.chmod(0o755)
    return {"providers": [{"name": "grove-components", "path": str(executable.parent)}]}


@pytest.mark.skipif(not shutil.which("pulumi-language-yaml"), reason="Pulumi's language host for YAML is not on PATH")
def test_a_program_in_yaml_previews_a_set(empty_cluster: BareControlPlane, tmp_path: Path) -> None:
    project = {"name": "afar", "runtime": "yaml", "plugins": with_plugin(tmp_path), "resources": YAML_PROGRAM}
    program = Program(tmp_path, empty_cluster, "", json.dumps(project))
    assert "grove-components:index:PodCliqueSet" in program.pulumi("preview", "--diff")


def test_components_are_constructed_for_a_program_that_knows_only_their_tokens(
    empty_cluster: BareControlPlane, tmp_path: Path
) -> None:
    project = {"name": "afar", "runtime": "python", "plugins": with_plugin(tmp_path)}
    program = Program(tmp_path, empty_cluster, PROGRAM, json.dumps(project))
    program.pulumi("up", "--yes", "--skip-preview")
    program.pulumi("preview", "--expect-no-changes")
    resources = json.loads(program.exported())["deployment"]["resources"]
    children = {resource["urn"].partition("::afar::")[2]: resource for resource in resources}
    prefix = "grove-components:index:PodCliqueSet$kubernetes:grove.io/v1alpha1:PodCliqueSet::from-afar"
    made = children[prefix]["outputs"]
    assert made["spec"]["template"]["cliques"][0]["spec"]["replicas"] == 2
    assert made["metadata"]["uid"]
    # A collector that starts after the CRDs were made knows their kinds at once; a running one needs up to 30 s.
    with garbage_collector(empty_cluster.kubeconfig, tmp_path / "gc.log"):
        program.pulumi("destroy", "--yes", "--skip-preview")
