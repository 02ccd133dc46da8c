"""A copy of this repository's Pulumi project, and `grove` and `kubectl` as its user would type them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
MUTATING = {"POST", "PUT", "PATCH", "DELETE", "APPLY"}
NOT_COUNTED = {
    "leases", "events", "nodes",  # heartbeats, and Events
    "subjectaccessreviews", "tokenreviews", "serviceaccounts",  # access reviews, and tokens requested
    "endpoints", "endpointslices",  # the controller manager's own, written in batches after pods changed
}  # fmt: skip
PORT_KEYS = (
    "webhookPort",
    "healthPort",
    "metricsPort",
    "schedulerHealthPort",
    "schedulerMetricsPort",
    "conversionPort",
)


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and both outputs."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Project:
    """The project in `folder`, with a Pulumi home and local clusters of its own under `home`."""

    folder: Path
    home: Path
    kubeconfig: Path
    stack: str = "local"
    names_cluster: bool = True
    """Whether KUBECONFIG tells `grove` and `pulumi` which cluster it is; kubectl is always told."""

    @classmethod
    def copy_to(
        cls, folder: Path, home: Path, kubeconfig: Path, *, stack: str = "local", names_cluster: bool = True
    ) -> Project:
        """Copies program and stacks; gives the operator free ports, so that several clusters fit on one machine."""
        for name in ("Pulumi.yaml", "__main__.py"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / "stacks", folder / "stacks")
        project = cls(folder, home, kubeconfig, stack, names_cluster)
        config = project.read_stack()
        config["config"]["grove:operator"].update(zip(PORT_KEYS, free_ports(len(PORT_KEYS)), strict=True))
        project.write_stack(config)
        return project

    @property
    def stack_file(self) -> Path:
        return self.folder / "stacks" / f"Pulumi.{self.stack}.yaml"

    def read_stack(self) -> Any:
        return yaml.safe_load(self.stack_file.read_text())

    def write_stack(self, content: Any) -> None:
        self.stack_file.write_text(yaml.safe_dump(content, sort_keys=False))

    def set_replicas(self, service: str, replicas: int) -> None:
        config = self.read_stack()
        config["config"]["grove:graph"]["services"][service]["replicas"] = replicas
        self.write_stack(config)

    @property
    def environment(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        env |= {"GROVE_HOME": str(self.home), "NO_COLOR": "1"}
        return env | ({"KUBECONFIG": str(self.kubeconfig)} if self.names_cluster else {})

    def grove(self, *args: str, timeout_s: float = 240) -> Finished:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "grove"), *args],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def pulumi(self, *args: str) -> str:
        """Standard output of `grove pulumi -- ARGS` on this stack; fails the test with all it said otherwise."""
        done = self.try_pulumi(*args)
        assert done.code == 0, f"grove pulumi -- {' '.join(args)}: exit {done.code}\n{done.text}"
        return done.stdout

    def try_pulumi(self, *args: str) -> Finished:
        return self.grove("pulumi", "--", *args, "--stack", self.stack, "--non-interactive")

    def kubectl(self, *args: str) -> str:
        program = str(Path(sys.executable).parent / "kubectl")
        done = subprocess.run(
            [program, "--kubeconfig", str(self.kubeconfig), *args], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def get(self, what: str, namespace: str = "", name: str = "") -> Any:
        """One object, or the items of a list (all namespaces where none is named)."""
        where = ["-n", namespace] if namespace else ["-A"] if not name else []
        found = json.loads(self.kubectl("get", what, *([name] if name else []), *where, "-o", "json"))
        return found if name else found["items"]

    def select(self, what: str, namespace: str, selector: str) -> Any:
        return json.loads(self.kubectl("get", what, "-n", namespace, "-l", selector, "-o", "json"))["items"]

    def writes(self) -> dict[str, int]:
        """Mutating requests that the API server has counted, by verb and resource, without heartbeats and reviews."""
        counts: dict[str, int] = {}
        for line in self.kubectl("get", "--raw", "/metrics").splitlines():
            if not line.startswith("apiserver_request_total{"):
                continue
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if labels["verb"] in MUTATING and labels["resource"] not in NOT_COUNTED:
                what = f"{labels['verb']} {labels['resource']}/{labels['subresource']}"
                counts[what] = counts.get(what, 0) + int(float(line.rsplit(" ", 1)[1]))
        return counts

    def labelled(self, selector: str) -> list[str]:
        """`kind/name` of every object that carries the label, of every listable kind that still exists."""
        kinds = self.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        wanted = ",".join(kind for kind in kinds if kind not in {"events", "events.events.k8s.io"})
        return self.kubectl("get", wanted, "-A", "-l", selector, "-o", "name", "--ignore-not-found").split()


def failed_resources(said: str) -> set[str]:
    """Names of the resources of which Pulumi's progress says that they failed."""
    return set(re.findall(r"kubernetes:\S+ (\S+) .*\berror: ", said))
