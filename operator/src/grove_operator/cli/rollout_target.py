"""What all verbs of `grove rollout` are about: one PodCliqueSet."""

from __future__ import annotations

from collections.abc import Callable

import click


def target(function: Callable[..., None]) -> Callable[..., None]:
    """NAME, --namespace and --kubeconfig; NAME may be written pcs/NAME."""
    kubeconfig = click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Which cluster.")
    namespace = click.option("-n", "--namespace", default="default", show_default=True)
    return click.argument("name")(namespace(kubeconfig(function)))


def plain(name: str) -> str:
    """The name alone of `pcs/NAME`."""
    return name.rpartition("/")[2]
