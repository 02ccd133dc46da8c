"""The Pulumi program of this project: read the stack's config, build it, export its outputs."""

from pathlib import Path

import pulumi

from grove_components import build_stack, cluster_provider, load_stack

config = load_stack()
for name, value in build_stack(config, cluster_provider(config, Path(__file__).parent)).items():
    pulumi.export(name, value)
