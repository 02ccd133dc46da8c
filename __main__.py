"""The Pulumi program of this project: read the stack's config, build it, export its outputs."""

from pathlib import Path

import pulumi

from grove_components import build_stack, cluster_provider, load_stack

root = Path(__file__).parent
config = load_stack()
cluster = cluster_provider(config, root)
adopting = cluster_provider(config, root, "crd-adoption", adopts=True) if config.adopt_crds else None
for name, value in build_stack(config, cluster, adopting).items():
    pulumi.export(name, value)
