"""ClusterTopology: which node labels make up the network, broadest level first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from grove_components import manifests, resources
from grove_components.checks import faults_of, require
from grove_operator.api.constants import DEFAULT_TOPOLOGY
from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, Json
from grove_operator.api.validation import validate_clustertopologybinding


def topology_manifest(object_name: str, levels: Sequence[tuple[str, str]]) -> Json:
    """A ClusterTopologyBinding; levels are (domain, node label key), broadest first."""
    return {
        "apiVersion": CLUSTER_TOPOLOGY_BINDING.api_version,
        "kind": CLUSTER_TOPOLOGY_BINDING.kind,
        "metadata": {"name": object_name},
        "spec": {"levels": manifests.levels(levels)},
    }


def topology_faults(manifest: Json) -> list[str]:
    return faults_of(manifest, validate_clustertopologybinding)


class ClusterTopology(pulumi.ComponentResource):
    """A ClusterTopologyBinding.

    `levels` maps domain to node label key, broadest first: `{"block": "topology.kubernetes.io/block", "rack": ...}`.
    The object is called `default` unless `object_name` says otherwise: workloads that name no topology get that one.
    """

    def __init__(
        self,
        name: str,
        *,
        levels: Mapping[str, str] | Sequence[tuple[str, str]],
        object_name: str = DEFAULT_TOPOLOGY,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self.levels = list(levels.items()) if isinstance(levels, Mapping) else [(d, k) for d, k in levels]
        self.object_name = object_name
        self.manifest = topology_manifest(object_name, self.levels)
        require(f"clustertopologybinding {object_name}", topology_faults(self.manifest))
        super().__init__(
            "grove-components:index:ClusterTopology",
            name,
            {"objectName": object_name, "domains": [domain for domain, _ in self.levels]},
            opts,
        )
        self.binding = resources.ClusterTopologyBinding(
            name,
            metadata=self.manifest["metadata"],
            spec=self.manifest["spec"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"objectName": object_name, "domains": [domain for domain, _ in self.levels]})


def topology_name(topology: ClusterTopology | str | None) -> str | None:
    """The binding's name. A plain string names one that this program doesn't make: its levels aren't known here."""
    return topology.object_name if isinstance(topology, ClusterTopology) else topology


def known_topologies(topology: ClusterTopology | str | None) -> dict[str, Json] | None:
    """Bindings whose levels can be checked; None: leave the check to admission."""
    return {topology.object_name: topology.manifest} if isinstance(topology, ClusterTopology) else None


def after_topology(topology: ClusterTopology | str | None) -> list[pulumi.Resource] | None:
    return [topology] if isinstance(topology, ClusterTopology) else None


def level_fault(topology: str, levels: Sequence[tuple[str, str]], domain: str | None) -> str | None:
    """One sentence if `domain` isn't a level of the topology: names the topology, the fact and the choices."""
    domains = [d for d, _ in levels]
    if domain is None or domain in domains:
        return None
    return (
        f"topology {topology} has no level {domain!r}; it has {', '.join(domains)}: use one of these or add the level"
    )
