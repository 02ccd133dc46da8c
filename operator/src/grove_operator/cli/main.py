"""Entry point of `grove`. Verbs load lazily, so that `grove --help` and shell completion stay quick."""

from __future__ import annotations

import importlib
import sys

import click

VERBS: dict[str, tuple[str, str]] = {
    # verb: (module that defines `command`, short help)
    "tools": ("grove_operator.cli.tools", "Find, download or build the programs of the local cluster."),
    "up": ("grove_operator.cli.up", "Start the local cluster and return when it is ready."),
    "down": ("grove_operator.cli.down", "Stop the local cluster and leave nothing behind."),
    "status": ("grove_operator.cli.status", "Show whether the local cluster runs, and what it runs."),
    "env": ("grove_operator.cli.env", "Print the environment of the local cluster as shell exports."),
    "pulumi": ("grove_operator.cli.pulumi", "Run pulumi with this project's settings: grove pulumi -- ARGS."),
    "tree": ("grove_operator.cli.tree", "Show PodCliqueSets, gangs, pods and where they run as a tree."),
    "validate": ("grove_operator.cli.validate", "Check manifests with the rules that admission applies."),
    "simulate": ("grove_operator.cli.simulate", "Tell where manifests would be placed, without touching anything."),
    "explain": ("grove_operator.cli.explain", "Explain why a PodGang waits, and what would unblock it."),
    "snapshot": ("grove_operator.cli.snapshot", "Dump a cluster for simulate and explain, without secrets."),
    "replay": ("grove_operator.cli.replay", "Take a recorded scheduling decision again and compare."),
    "rollout": ("grove_operator.cli.rollout", "Follow, pause, resume and undo the update of a PodCliqueSet."),
    "rehearse": ("grove_operator.cli.rehearse", "Play a story of changes and failures on a simulated cluster."),
    "render": ("grove_operator.cli.render", "Write the manifests of a stack, without engine or cluster."),
    "crds": ("grove_operator.cli.crds", "Print or write the CRDs that the models generate."),
}


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(VERBS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{VERBS[cmd_name][0]}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="grove-operator", prog_name="grove")
def cli() -> None:
    """Grove in Python: a local GPU cluster, and everything that runs on it.

    \b
    Examples:
      grove up                       start the local cluster
      grove pulumi -- up --yes       bring up the stack on it
      grove tree -A                  see gangs and where they were placed
      grove validate manifest.yaml   check a manifest before you apply it
      grove down                     stop it
    """


def main() -> None:
    """Exit codes: 0 done, 1 the operation failed, 2 wrong usage, 130 interrupted."""
    try:
        cli.main(standalone_mode=True, prog_name="grove")
    except KeyboardInterrupt:
        sys.exit(130)
