"""What an example program registers, and the texts that lie beside it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import yaml

from grove_components.manifests import WAIT_FOR, gpus_requested
from tests.components.collect import Run, collect

EXAMPLES = ["aggregated", "disaggregated", "leader-worker", "agentic-pipeline"]
FIRST = {
    key: place
    for place, key in enumerate(
        ("apiVersion", "kind", "metadata", "name", "namespace", "roleName", "image", "command", "args", "replicas")
    )
}
FOLDER = Path(__file__).parents[2] / "examples"


def run_example(name: str) -> Run:
    """The program, with the status that its set has once it is up."""

    def program() -> None:
        runpy.run_path(str(FOLDER / name / "__main__.py"))

    return collect(program, statuses={"PodCliqueSet": {"availableReplicas": 1}})


def manifest_of(name: str) -> str:
    """The one object of the example as plain YAML, for kubectl: without what only Pulumi reads."""
    (registered,) = run_example(name).of_type("kubernetes:grove.io")
    plain: dict[str, Any] = {key: value for key, value in registered.inputs.items() if key != "status"}
    metadata = {key: value for key, value in plain["metadata"].items() if key != "annotations"}
    assert set(plain["metadata"].get("annotations", {})) <= {WAIT_FOR}
    return yaml.safe_dump(ordered({**plain, "metadata": metadata}), sort_keys=False, width=120)


def ordered(node: Any) -> Any:
    """Keys as people write them: the registration has them in no order."""
    if isinstance(node, list):
        return [ordered(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: ordered(node[key]) for key in sorted(node, key=lambda key: (FIRST.get(key, len(FIRST)), key))}


def expected_of(name: str) -> str:
    """What there is after `up`: the resources by parent, and the pods and GPUs that they ask for."""
    run = run_example(name)
    manifest = yaml.safe_load(manifest_of(name))
    template = manifest["spec"]["template"]
    times = {clique["name"]: 1 for clique in template["cliques"]}
    for group in template.get("podCliqueScalingGroups", []):
        times |= dict.fromkeys(group["cliqueNames"], group["replicas"])
    pods = [f"{times[c['name']] * c['spec']['replicas']} {c['name']}" for c in template["cliques"]]
    lines = [registration.line for registration in run.registrations]
    return "\n".join([*lines, f"pods: {', '.join(pods)}", f"GPUs: {gpus_requested(manifest)}", ""])
