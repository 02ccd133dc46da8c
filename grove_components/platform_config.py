"""The `platform` section of a stack file: what Dynamo's runtimes need beside the operator. No Pulumi here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grove_components.workload_config import Section

RELEASES = ("0.5.1", "1.3.0")
"""Releases of NVIDIA's platform chart whose values this project can build."""


class PlatformConfig(Section):
    """NATS for events (and etcd only for graphs that discover through it), by our manifests or NVIDIA's Helm chart.

    `helm` installs NVIDIA's own operator too: ours must then be told to leave `nvidia.com` alone.
    """

    install: Literal["none", "manifests", "helm"] = "none"
    namespace: str = "dynamo-system"
    nats: bool = True
    etcd: bool = False
    kai_queues: bool = Field(False, description="make KAI's queues dynamo-default and dynamo")
    release: Literal["0.5.1", "1.3.0"] = Field("1.3.0", description="of NVIDIA's chart, with install: helm")
