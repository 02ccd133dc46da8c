"""Everything that can be wrong with a stack, found before its first resource is registered."""

from __future__ import annotations

import re
from collections.abc import Mapping

from grove_components.checks import InvalidInputError
from grove_components.config import StackConfig
from grove_components.dynamo import Placement, graph_faults, graph_manifest
from grove_components.podcliqueset import pod_clique_set_faults
from grove_components.stack_objects import install_options, placement_of, set_manifest, topology_of
from grove_components.topology import topology_faults, topology_manifest
from grove_components.workload_config import GraphConfig
from grove_operator.api.config import ConfigError
from grove_operator.api.install import operator_configuration, repository
from grove_operator.api.kinds import Json

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
Levels = list[tuple[str, str]]


def check_stack(config: StackConfig) -> None:
    """Raises InvalidInputError with every fault."""
    if faults := stack_faults(config):
        raise InvalidInputError(config.stack_file, faults)


def stack_faults(config: StackConfig) -> list[str]:
    """Everything wrong with the objects that this config describes, each fault named by its config key."""
    faults = _part_faults(config)
    topologies: dict[str, Levels] = {}
    if config.makes_platform:
        faults += _operator_faults(config)
        if config.topology:
            topologies[config.topology.name] = config.topology.pairs
            binding = topology_manifest(config.topology.name, config.topology.pairs)
            faults += [f"grove:topology: {fault}" for fault in topology_faults(binding)]
    if config.makes_workloads:
        faults += workload_faults(config, topologies)
    return faults


def workload_faults(config: StackConfig, topologies: Mapping[str, Levels]) -> list[str]:
    """Faults of graphs and sets. `topologies` are the known bindings; with none known, levels aren't judged."""
    bindings = {name: topology_manifest(name, levels) for name, levels in topologies.items()} or None
    faults: list[str] = []
    if config.graph:
        faults += [f"grove:graph: {fault}" for fault in _graph_faults(config, config.graph, topologies, bindings)]
    written = len(config.pod_clique_sets)
    for index, pcs in enumerate(config.sets):
        key = f"podCliqueSets[{index}]" if index < written else f"workloads[{index - written}]"
        found = pod_clique_set_faults(set_manifest(config, pcs), bindings)
        faults += [f"grove:{key} {pcs.name}: {fault}" for fault in found]
    return faults


def _part_faults(config: StackConfig) -> list[str]:
    if config.part == "workloads":
        faults = []
        if not config.platform_stack:
            faults.append(
                "grove:platformStack: is missing; a workloads stack names the stack of its platform, "
                "such as organization/grove/h100"
            )
        if config.topology:
            faults.append("grove:topology: belongs to the platform stack; move it there")
        return faults
    faults = []
    if config.platform_stack:
        faults.append(f"grove:platformStack: part is {config.part}, which makes its own platform; remove it")
    if config.part == "platform" and (config.graph or config.sets):
        faults.append("grove:part: a platform has no workloads; move graph, podCliqueSets and workloads to their stack")
    return faults


def _operator_faults(config: StackConfig) -> list[str]:
    if config.operator.install == "existing":
        return []
    faults = []
    try:
        operator_configuration(install_options(config.operator))
    except ConfigError as error:
        faults.append(f"grove:operator.config: {error}")
    image = config.operator.image
    if not config.is_local and not DIGEST.search(image):
        faults.append(
            f"grove:operator.image: {image} has no digest, and what a tag means can change under a running cluster; "
            f"outside the local stack set it to {repository(image)}@sha256:<64 hex digits>, as your registry shows it"
        )
    return faults


def _graph_faults(
    config: StackConfig, graph: GraphConfig, topologies: Mapping[str, Levels], bindings: Mapping[str, Json] | None
) -> list[str]:
    """A wrong placement is left out of the graph that is then checked, so that both are reported at once."""
    placement, topology = placement_of(graph), topology_of(config)
    wrong: list[str] = []
    if topology is None and placement != Placement():
        wrong = ["placement: needs grove:topology, whose levels it names; set it or remove the placement"]
    elif topology is not None and topology in topologies:
        wrong = placement.faults(topology, topologies[topology])
    checked = None if wrong else placement
    manifest = graph_manifest(graph.name, graph.namespace, graph.spec(), topology, checked)
    return wrong + graph_faults(manifest, bindings)
