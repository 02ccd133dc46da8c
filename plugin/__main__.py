"""Serves the components to every Pulumi language: `pulumi package add <path or git URL of this folder>`."""

import os
import signal
from importlib.metadata import version

from facade import COMPONENTS
from pulumi.provider.experimental import component_provider_host

if __name__ == "__main__":
    # When a resource fails, the engine interrupts its plugins: the error is told, a traceback would only hide it.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    component_provider_host(components=COMPONENTS, name="grove-components", version=version("grove-components"))
