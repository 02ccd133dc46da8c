"""Typed Pulumi components for Grove and Dynamo inference systems."""

from grove_components.checks import InvalidInputError
from grove_components.config import StackConfig
from grove_components.crds import GroveCrds
from grove_components.dynamo import DynamoGraphDeployment, Placement
from grove_components.existing import ExistingGrove
from grove_components.operator import GroveOperator
from grove_components.podcliqueset import PodCliqueSet
from grove_components.provider import cluster_provider
from grove_components.shapes import Instances, Packing, Role, aggregated, disaggregated, leader_worker, pipeline
from grove_components.stack import build_stack, load_stack
from grove_components.topology import ClusterTopology
from grove_components.topology_presets import preset_levels

__all__ = [
    "ClusterTopology",
    "DynamoGraphDeployment",
    "ExistingGrove",
    "GroveCrds",
    "GroveOperator",
    "Instances",
    "InvalidInputError",
    "Packing",
    "Placement",
    "PodCliqueSet",
    "Role",
    "StackConfig",
    "aggregated",
    "build_stack",
    "cluster_provider",
    "disaggregated",
    "leader_worker",
    "load_stack",
    "pipeline",
    "preset_levels",
]
