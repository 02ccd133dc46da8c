"""`grove down`: stop the local cluster."""

from __future__ import annotations

import click

from grove_operator.localcluster.state import DEFAULT_NAME, LocalClusterError
from grove_operator.localcluster.supervisor_control import down


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True)
@click.option("--delete", is_flag=True, help="Also remove its data, keys and logs.")
def command(name: str, delete: bool) -> None:
    """Stop the local cluster: no process and no port is left.

    Its data stay, and the next `grove up` goes on from them, unless --delete is given.

    \b
    Examples:
      grove down
      grove down --name big --delete
    """
    try:
        was_running = down(name, delete=delete)
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"cluster {name} {'is down' if was_running else 'was not running'}")
