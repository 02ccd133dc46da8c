"""Which cluster a stack goes to, and the one provider that reaches it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_kubernetes

from grove_components.checks import InvalidInputError
from grove_components.config import StackConfig

LOCAL_CLUSTER = "grove-local"


def local_kubeconfig(project_root: Path, environ: Mapping[str, str]) -> Path:
    """Kubeconfig of the local cluster that `grove up` makes; it may not be there."""
    home = Path(environ.get("GROVE_HOME") or project_root / ".grove")
    return home / "clusters" / "local" / "kubeconfig"


def is_content(kubeconfig: str) -> bool:
    """Whether it is a kubeconfig itself, rather than a path to one."""
    return "\n" in kubeconfig or kubeconfig.lstrip().startswith("{")


def find_kubeconfig(configured: str | None, project_root: Path, environ: Mapping[str, str]) -> str:
    """Path or content: the stack's own, else $KUBECONFIG, else the local cluster's. Raises LookupError without any."""
    if configured:
        if is_content(configured):
            return configured
        path = project_root / Path(configured).expanduser()
        if not path.is_file():
            raise LookupError(f"grove:kubeconfig: {configured} is not a file; correct the path or remove the key")
        return str(path)
    if environ.get("KUBECONFIG"):
        return environ["KUBECONFIG"]
    local = local_kubeconfig(project_root, environ)
    if not local.is_file():
        raise LookupError(
            "no cluster to go to: start the local one with `grove up`, set KUBECONFIG, "
            "or set grove:kubeconfig in the stack file"
        )
    return str(local)


def cluster_provider(
    config: StackConfig, project_root: Path, name: str = "cluster", *, adopts: bool = False
) -> pulumi_kubernetes.Provider:
    """The explicit provider for everything in the stack; `project_root` is where Pulumi.yaml is.

    The local cluster keeps its identity over restarts on other ports: a restart doesn't look like a new cluster.
    With `adopts`, objects that exist already are taken over instead of refused: never for workloads.
    """
    root = project_root.resolve()
    configured = config.kubeconfig.get_secret_value() if config.kubeconfig else None
    try:
        kubeconfig = find_kubeconfig(configured, root, os.environ)
    except LookupError as error:
        raise InvalidInputError(config.stack_file, [str(error)]) from None
    is_local = kubeconfig == str(local_kubeconfig(root, os.environ))
    return pulumi_kubernetes.Provider(
        name,
        kubeconfig=pulumi.Output.secret(kubeconfig) if is_content(kubeconfig) else kubeconfig,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        upsert_existing_objects=adopts or None,
        cluster_identifier=config.cluster_identifier or (LOCAL_CLUSTER if is_local else None),
    )
