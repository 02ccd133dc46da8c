"""Values for NVIDIA's `dynamo-platform` chart, by release (dynamo reference, 3.2). Untried: no chart can be had here.

0.5.1   its own switches, termination delay 15m, CRDs in a chart of their own
1.3.0   global.<part>.install ships a part, global.<part>.enabled says that it exists already
"""

from __future__ import annotations

from grove_components.platform_config import PlatformConfig
from grove_operator.api.kinds import Json

CHART = "dynamo-platform"
CRDS_CHART = "dynamo-crds"
REPOSITORY = "https://helm.ngc.nvidia.com/nvidia/ai-dynamo/charts"


def charts(config: PlatformConfig) -> list[tuple[str, str]]:
    """Chart names and versions, in the order to install them."""
    crds = [(CRDS_CHART, config.release)] if config.release == "0.5.1" else []
    return [*crds, (CHART, config.release)]


def values(config: PlatformConfig, *, kai: bool = False) -> Json:
    """Of the platform chart. Grove stays outside of it: its version decides the topology schema, so we pin it."""
    if config.release == "0.5.1":
        return {
            "grove": {"enabled": False},
            "kai-scheduler": {"enabled": False},
            "etcd": {"enabled": config.etcd},
            "nats": {"enabled": config.nats},
            "dynamo-operator": {"namespaceRestriction": {"enabled": False}, "dynamo": {"groveTerminationDelay": "15m"}},
        }
    return {
        "global": {
            "etcd": {"install": config.etcd},
            "nats": {"install": config.nats},
            "grove": {"install": False, "enabled": True},
            "kai-scheduler": {"install": False, "enabled": kai},
        },
        "dynamo-operator": {
            "enabled": True,
            "upgradeCRD": True,
            "discoveryBackend": "etcd" if config.etcd else "kubernetes",
            "dynamo": {"groveTerminationDelay": "4h"},
        },
    }
