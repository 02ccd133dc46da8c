"""Typed Pulumi components for Grove and Dynamo inference systems."""

from grove_components.checks import InvalidInputError
from grove_components.config import StackConfig
from grove_components.crds import GroveCrds
from grove_components.dynamo import DynamoGraphDeployment, Placement
from grove_components.operator import GroveOperator
from grove_components.podcliqueset import PodCliqueSet
from grove_components.provider import cluster_provider
from grove_components.stack import build_stack, load_stack
from grove_components.topology import ClusterTopology

__all__ = [
    "ClusterTopology",
    "DynamoGraphDeployment",
    "GroveCrds",
    "GroveOperator",
    "InvalidInputError",
    "Placement",
    "PodCliqueSet",
    "StackConfig",
    "build_stack",
    "cluster_provider",
    "load_stack",
]
