"""`grove crds`: print, write or check the CRDs that the models generate."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import yaml

from grove_operator.api.crds import all_crds, stale_crds, write_crds


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
def command(check: bool, write: bool, directory: Path | None, output: str) -> None:
    """Print, write or check the custom resource definitions.

    \b
    Examples:
      grove crds | kubectl apply --server-side -f -
      grove crds --check                  are the committed files what the models generate?
      grove crds --write --dir build/crds
    """
    if check and write:
        raise click.UsageError("give --check or --write, not both")
    if not check and not write:
        crds = all_crds()
        if output == "json":
            click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": crds}, indent=2))
        else:
            click.echo(yaml.safe_dump_all(crds, sort_keys=False, allow_unicode=True, width=120), nl=False)
        return
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
