"""`grove crds`: print, write, check or install the CRDs that the models generate."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click
import yaml

from grove_operator.api.crds import all_crds, stale_crds, write_crds
from grove_operator.api.reference import reference


def committed_directory() -> Path | None:
    """operator/crds of the checkout this package runs from, if it runs from one."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "operator" / "pyproject.toml").is_file():
            return parent / "operator" / "crds"
    return None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Compare the files with the models; exit 1 when they differ.")
@click.option("--write", is_flag=True, help="Write the files.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the files; operator/crds of this checkout when absent.",
)
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--reference", "page", is_flag=True, help="Print the reference page of the API, docs/api-reference.md.")
@click.option("--install", "to_cluster", is_flag=True, help="Apply them to the cluster; exit 1 when one is refused.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of the cluster to install to. Default: KUBECONFIG, the pod's service account, ~/.kube/config.",
)
def command(
    check: bool,
    write: bool,
    directory: Path | None,
    output: str,
    page: bool,
    to_cluster: bool,
    kubeconfig: Path | None,
) -> None:
    """Print, write, check or install the custom resource definitions.

    \b
    Examples:
      grove crds | kubectl apply --server-side -f -
      grove crds --install                the same without kubectl, as an init container does
      grove crds --check                  are the committed files what the models generate?
      grove crds --write --dir build/crds
    """
    if check + write + to_cluster + page > 1:
        raise click.UsageError("give one of --check, --write, --reference and --install")
    if to_cluster:
        install_on(kubeconfig)
    elif page:
        click.echo(reference(), nl=False)
    elif not check and not write:
        crds = all_crds()
        if output == "json":
            click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": crds}, indent=2))
        else:
            click.echo(yaml.safe_dump_all(crds, sort_keys=False, allow_unicode=True, width=120), nl=False)
    else:
        compare_files(directory, write=write)


def compare_files(directory: Path | None, *, write: bool) -> None:
    """Make the files what the models generate, or exit 1 where they aren't."""
    directory = directory or committed_directory()
    if directory is None:
        raise click.UsageError("not in a checkout of the project; name the folder with --dir")
    if write:
        changed = write_crds(directory)
        click.echo(
            "\n".join(f"wrote {path.name}" if path.exists() else f"removed {path.name}" for path in changed)
            or "all files are up to date"
        )
        return
    stale = stale_crds(directory)
    if stale:
        click.echo("\n".join([*stale, "run: grove crds --write"]), err=True)
        sys.exit(1)
    click.echo(f"{len(all_crds())} files are up to date")


def install_on(kubeconfig: Path | None) -> None:
    """Raises ClickException (exit code 1) when there is no cluster, or when it refuses one."""
    from grove_operator.engine.ports import ApiError
    from grove_operator.kube.client import HttpKubeApi
    from grove_operator.kube.connection import ConnectionConfigError
    from grove_operator.kube.crd_installer import install

    async def run() -> None:
        async with HttpKubeApi.from_kubeconfig(kubeconfig) as api:
            async for name, change in install(api, all_crds()):
                click.echo(f"{name} {change}")

    try:
        asyncio.run(run())
    except ConnectionConfigError as error:
        raise click.ClickException(f"no cluster: {error}") from error
    except ApiError as error:
        raise click.ClickException(f"a CRD was not taken: {error}") from error
