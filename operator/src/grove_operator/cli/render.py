"""`grove render`: a stack's manifests as files, without engine or cluster."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-s", "--stack", required=True, help="Stack whose file to read: stacks/Pulumi.<stack>.yaml.")
@click.option(
    "-o",
    "--out",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to: new, empty, or written by an earlier run.",
)
@click.option(
    "--project",
    default=".",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of Pulumi.yaml and stacks/.",
)
def command(stack: str, folder: Path, project: Path) -> None:
    """Write the manifests of a stack, for GitOps and review: what `pulumi up` would apply, and nothing else.

    Neither Pulumi's engine nor a cluster is needed. Secrets made
    from encrypted config values are left out and named.

    \b
    Examples:
      grove render -s h100 -o build/h100
      grove render -s local -o out && kubectl apply --server-side -k out
    """
    try:
        from grove_components.checks import InvalidInputError
        from grove_components.render import read_stack, render, write
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed; install grove-components to render stacks"
        raise click.ClickException(message) from None
    try:
        rendered = render(read_stack(project, stack))
        changed = write(rendered, folder)
    except (InvalidInputError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{len(rendered.files) - 1} objects in {folder}, {len(changed)} files changed")
    for secret in rendered.left_out:
        click.echo(f"not written: {secret}; create it in the cluster yourself", err=True)
