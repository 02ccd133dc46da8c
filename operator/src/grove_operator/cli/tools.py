"""`grove tools`: what the local cluster is made of, where it is, and getting it where it isn't."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from grove_operator.localcluster import dynamo_runtime, planner_runtime
from grove_operator.localcluster.state import LocalClusterError
from grove_operator.localcluster.tools import Found, find, obtain
from grove_operator.localcluster.tools_pins import PROGRAMS
from grove_operator.localcluster.tools_report import Report, default_report

RUNTIMES: Mapping[str, tuple[Callable[[], bool], Callable[[Report], Path]]] = {
    dynamo_runtime.NAME: (dynamo_runtime.is_installed, dynamo_runtime.install),
    planner_runtime.NAME: (planner_runtime.is_installed, planner_runtime.install),
}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "take_all", is_flag=True, help="Also the optional ones (kwok).")
@click.option("--offline", is_flag=True, help="Don't look for vendors' archives.")
@click.option("--check", is_flag=True, help="Get nothing; exit 1 if something is missing.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(names: tuple[str, ...], take_all: bool, offline: bool, check: bool, output: str) -> None:
    """Find, download or build the programs of the local cluster.

    \b
    In this order: PATH and KUBEBUILDER_ASSETS (within one minor version of the pin), our cache, the vendor's archive
    (only with a checksum in toolchain/checksums.toml), `go build` of the pinned module.

    \b
    Examples:
      grove tools                 get what is missing
      grove tools kwok            one of the optional ones
      grove tools dynamo          Dynamo's own processes, for graphs that really answer (needs pip's package index)
      grove tools dynamo-planner  Dynamo's planner beside them (0.9 GB more)
      grove tools --check -o json what is there, getting nothing
    """
    wanted = names or tuple(name for name, program in PROGRAMS.items() if take_all or not program.is_optional)
    report = default_report()
    found: dict[str, Found | None] = {}
    faults: list[str] = []
    for name in dict.fromkeys(wanted):
        if name in RUNTIMES:
            continue
        try:
            found[name] = find(name) if check else obtain(name, offline=offline, report=report)
        except LocalClusterError as error:
            faults.append(str(error))
            found[name] = None
    faults += [fault for name in RUNTIMES if name in wanted for fault in _runtime(name, check, report)]
    _print(found, output)
    if faults:
        raise click.ClickException("\n".join(faults))
    if missing := [name for name, hit in found.items() if hit is None]:
        raise click.ClickException(f"missing: {', '.join(missing)}; `grove tools {' '.join(missing)}` gets them")


def _runtime(name: str, check: bool, report: Report) -> list[str]:
    """What keeps Dynamo's processes from being here; nothing once they are."""
    is_installed, install = RUNTIMES[name]
    if check:
        return [] if is_installed() else [f"missing: {name}; `grove tools {name}` gets it"]
    try:
        click.echo(f"{name:24} {dynamo_runtime.VERSION:10} {'pip':8} {install(report)}")
    except LocalClusterError as error:
        return [str(error)]
    return []


def _print(found: dict[str, Found | None], output: str) -> None:
    if output == "json":
        rows = [
            {"name": name, "version": hit.version, "source": hit.source, "path": str(hit.path)}
            if hit
            else {"name": name, "version": None, "source": None, "path": None}
            for name, hit in found.items()
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for name, hit in found.items():
        click.echo(f"{name:24} {hit.version:10} {hit.source:8} {hit.path}" if hit else f"{name:24} missing")
