"""The Pulumi program of this project: read the stack's config, build it, export its outputs."""

from pathlib import Path

import pulumi

from grove_components import StackConfig, build_stack, cluster_provider

config = StackConfig.load()
for name, value in build_stack(config, cluster_provider(config, Path(__file__).parent)).items():
    pulumi.export(name, value)
