"""A local cluster with another fleet than the default one, and a copy of one of the repository's stacks on it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grove_operator.localcluster.fleet import default_fleet_path
from tests.support.grove import Grove
from tests.support.project import ROOT, Project

DUMMY_DIGEST = f"ghcr.io/grove-py/grove-operator@sha256:{'0' * 64}"


@contextmanager
def stack_on_its_fleet(stack: str, folder: Path, home: Path) -> Iterator[Project]:
    """`stack` ready for `up`: one replica of each process, ports of its own, the webhook Service on this host.

    The dummy digest stands for the image that a registry would give; the fleet file matches on the repository.
    """
    grove = Grove(home)
    grove("up", "--fleet", str(default_fleet_path().parent / f"{stack}.yaml"))
    try:
        project = Project.copy_to(folder, home, home / "clusters" / "local" / "kubeconfig", stack=stack)
        config = project.read_stack()
        config["config"]["grove:deleteCrds"] = True
        config["config"]["grove:operator"] |= {
            "image": DUMMY_DIGEST,
            "replicas": 1,
            "schedulerReplicas": 1,
            "serviceExternalName": "localhost",
        }
        project.write_stack(config)
        yield project
    finally:
        grove("down", "--delete")


def example_on(project: Project, name: str, folder: Path) -> Project:
    """A copy of an example's program in `folder`, with a stack of its own on the same cluster."""
    shutil.copytree(ROOT / "examples" / name, folder, dirs_exist_ok=True)
    return dataclasses.replace(project, folder=folder, stack="example")


def set_config(project: Project, **changed: object) -> None:
    """Replace whole keys of the stack file; None removes one."""
    content = project.read_stack()
    for key, value in changed.items():
        if value is None:
            content["config"].pop(f"grove:{key}", None)
        else:
            content["config"][f"grove:{key}"] = value
    project.write_stack(content)


def exported(project: Project) -> dict[tuple[str, str, str], dict[str, object]]:
    """Inputs in Pulumi's state of every Kubernetes object, by kind, namespace and name."""
    found = {}
    for resource in json.loads(project.pulumi("stack", "export"))["deployment"]["resources"]:
        if resource["type"].startswith("kubernetes:"):
            inputs = resource["inputs"]
            metadata = inputs["metadata"]
            found[inputs["kind"], metadata.get("namespace", ""), metadata["name"]] = inputs
    return found


def domains(project: Project, namespace: str, key: str, selector: str = "") -> list[str]:
    """The value of a node label for each pod of a namespace, sorted."""
    labels = {n["metadata"]["name"]: n["metadata"]["labels"] for n in project.get("nodes")}
    pods = project.select("pods", namespace, selector) if selector else project.get("pods", namespace)
    assert pods
    return sorted(labels[pod["spec"]["nodeName"]].get(key, "") for pod in pods)


def example_runs(project: Project, name: str, folder: Path) -> dict[str, int]:
    """Brings an example up and takes it down again; returns how many pods each role had."""
    example = example_on(project, name, folder)
    example.pulumi("up", "--yes", "--skip-preview")
    example.pulumi("preview", "--expect-no-changes")
    pods = project.get("pods", "default")
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    example.pulumi("destroy", "--yes", "--skip-preview")
    return dict(Counter(pod["metadata"]["labels"]["grove.io/podclique"].rsplit("-", 1)[1] for pod in pods))


def leaves_nothing(project: Project, *namespaces: str) -> bool:
    left = {n["metadata"]["name"] for n in project.get("ns")} & {*namespaces, "grove-system"}
    return not left and not [crd for crd in project.get("crd") if "grove.io" in crd["metadata"]["name"]]
