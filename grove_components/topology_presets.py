"""Node labels that clouds and tools really set, as topology levels, broadest first. No Pulumi here.

A label names a domain's *path* when domains nest: two racks called `r1` in different blocks are different racks.
`nvlink_level` adds the NVLink domain (`nvidia.com/gpu.clique`, set by NVIDIA's GPU feature discovery on multi-node
NVLink systems) just above the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Levels = tuple[tuple[str, str], ...]
Preset = Literal[
    "generic", "eks", "gke", "oke", "topograph", "topograph-block", "topograph-kubernetes", "topograph-tiers", "nvlink"
]

HOST: tuple[str, str] = ("host", "kubernetes.io/hostname")
ZONE: tuple[str, str] = ("zone", "topology.kubernetes.io/zone")
NVLINK: tuple[str, str] = ("nvlink", "nvidia.com/gpu.clique")

_EKS = "topology.k8s.aws/network-node-layer"
_GKE = "cloud.google.com/gce-topology"
_OKE = "oci.oraclecloud.com/rdma"
_TOPOGRAPH = "network.topology.nvidia.com"
_TOPOGRAPH_OLD = "network.topology.kubernetes.io"

PRESETS: Mapping[str, Levels] = {
    "generic": (ZONE, ("block", "topology.kubernetes.io/block"), ("rack", "topology.kubernetes.io/rack"), HOST),
    "eks": (ZONE, ("spine", f"{_EKS}-1"), ("block", f"{_EKS}-2"), ("rack", f"{_EKS}-3"), HOST),
    "gke": (ZONE, ("block", f"{_GKE}-block"), ("rack", f"{_GKE}-subblock"), ("host", f"{_GKE}-host")),
    "oke": (
        ZONE,
        ("spine", f"{_OKE}.hpc_island_id"),
        ("block", f"{_OKE}.network_block_id"),
        ("rack", f"{_OKE}.local_block_id"),
        HOST,
    ),
    "topograph": (("datacenter", f"{_TOPOGRAPH}/core"), ("spine", f"{_TOPOGRAPH}/spine"),
                  ("block", f"{_TOPOGRAPH}/leaf"), ("nvlink", f"{_TOPOGRAPH}/accelerator"), HOST),
    "topograph-block": (("datacenter", f"{_TOPOGRAPH}/datacenter"), ("spine", f"{_TOPOGRAPH}/spine"),
                        ("block", f"{_TOPOGRAPH}/block"), ("nvlink", f"{_TOPOGRAPH}/accelerator"), HOST),
    "topograph-kubernetes": (("datacenter", f"{_TOPOGRAPH_OLD}/datacenter"), ("spine", f"{_TOPOGRAPH_OLD}/spine"),
                             ("block", f"{_TOPOGRAPH_OLD}/block"), ("nvlink", f"{_TOPOGRAPH_OLD}/accelerator"), HOST),
    "topograph-tiers": (("datacenter", f"{_TOPOGRAPH}/tier-2"), ("spine", f"{_TOPOGRAPH}/tier-1"),
                        ("block", f"{_TOPOGRAPH}/tier-0"), ("nvlink", f"{_TOPOGRAPH}/accelerator"), HOST),
    "nvlink": (("block", "topology.kubernetes.io/block"), NVLINK, HOST),
}  # fmt: skip
"""Levels by preset. Topograph wrote its labels under four sets of names over time: look at your nodes which one."""


def preset_levels(preset: str, *, nvlink: bool = False) -> list[tuple[str, str]]:
    """Levels (domain, node label key) of a preset; with `nvlink` the NVLink domain is added above the host.

    Raises ValueError for an unknown preset (it lists the known ones).
    """
    if preset not in PRESETS:
        raise ValueError(f"topology preset {preset!r} is unknown; use one of {', '.join(get_args(Preset))}")
    levels = list(PRESETS[preset])
    if nvlink and NVLINK[0] not in dict(levels):
        levels.insert(len(levels) - 1, NVLINK)
    return levels
