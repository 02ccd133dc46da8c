"""Serves the components to every Pulumi language: `pulumi package add <path or git URL of this folder>`."""

from importlib.metadata import version

from facade import COMPONENTS
from pulumi.provider.experimental import component_provider_host

if __name__ == "__main__":
    component_provider_host(components=COMPONENTS, name="grove-components", version=version("grove-components"))
