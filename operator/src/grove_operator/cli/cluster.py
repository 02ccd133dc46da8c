"""The cluster that a verb reads: the named kubeconfig, else the running local cluster, else KUBECONFIG."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from grove_operator.engine.ports import ApiError, KubeApi, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.connection import ConnectionConfigError
from grove_operator.localcluster.state import read_state

T = TypeVar("T")


def read_cluster(kubeconfig: str | None, read: Callable[[KubeApi], Awaitable[T]]) -> T:
    """What `read` returns. Raises ClickException (exit code 1) with the remedy when there is nothing to read from."""
    try:
        return asyncio.run(_with_api(kubeconfig, read))
    except ConnectionConfigError as error:
        raise click.ClickException(f"no cluster: {error}, or start the local one by `grove up`") from error
    except NotFound as error:
        raise click.ClickException(
            f"the cluster has no Grove CRDs: {error}; `grove pulumi -- up` installs them"
        ) from error
    except ApiError as error:
        raise click.ClickException(f"cannot read the cluster: {error}; is it up? see `grove status`") from error


async def _with_api(kubeconfig: str | None, read: Callable[[KubeApi], Awaitable[T]]) -> T:
    state = None if kubeconfig else read_state("local")
    path = kubeconfig or (str(state.kubeconfig) if state and state.running else None)
    api = HttpKubeApi.from_kubeconfig(Path(path) if path else None)
    try:
        return await read(api)
    finally:
        await api.close()
