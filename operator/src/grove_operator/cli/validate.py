"""`grove validate`: the rules of admission, without a cluster."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import click
import yaml

from grove_operator.api import kinds
from grove_operator.api.core_schemas import kubernetes_version
from grove_operator.api.defaults import default_dynamographdeployment, default_podcliqueset
from grove_operator.api.kinds import Json, Kind
from grove_operator.api.podgangset_conversion import converted
from grove_operator.api.validation import (
    Advice,
    Fault,
    advise_podcliqueset,
    pruned_fields,
    validate_clustertopologybinding,
    validate_dynamographdeployment,
    validate_podcliqueset,
    validate_schema,
)

PRUNED = f"unknown to Kubernetes {kubernetes_version()}; the API server would drop it"


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One document of the input: `position` counts from 1 within its file."""

    source: str
    position: int
    body: Any

    @property
    def title(self) -> str:
        if not isinstance(self.body, dict):
            return f"document {self.position}"
        metadata = self.body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        return f"{str(self.body.get('kind') or 'object').lower()} {name or f'(document {self.position})'}"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    document: Document
    faults: tuple[Fault, ...]
    is_ours: bool
    """False for kinds that are none of this project's: they are left to others."""
    warnings: tuple[Advice, ...] = ()
    """What is allowed and probably not meant; fields inside Kubernetes' own types that the API server would prune."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, type=click.File("r", encoding="utf-8"), metavar="[FILE]...")
@click.option(
    "-f",
    "--filename",
    "named",
    multiple=True,
    type=click.File("r", encoding="utf-8"),
    help="The same, as kubectl has it.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(files: tuple[TextIO, ...], named: tuple[TextIO, ...], output: str) -> None:
    """Check manifests with the rules that admission applies, and report every fault at once.

    FILE is YAML or JSON with any number of documents; - reads standard input. Defaults are filled in first, as the
    API server would. ClusterTopologyBindings among the input are the topologies that constraints may refer to.

    Exit codes: 0 no fault, 1 at least one, 2 wrong usage.

    \b
    Examples:
      grove validate graph.yaml
      grove validate -f graph.yaml -f topology.yaml
      kustomize build . | grove validate -
      grove validate -o json examples/*.yaml | jq '.[].faults[]'
    """
    if not (files or named):
        raise click.UsageError("name a file, or - for standard input")
    documents = [document for file in (*files, *named) for document in read_documents(file.name, file)]
    verdicts = judge(documents)
    click.echo(as_json(verdicts) if output == "json" else as_text(verdicts))
    sys.exit(1 if any(verdict.faults for verdict in verdicts) else 0)


def read_documents(source: str, stream: TextIO) -> Iterator[Document]:
    """Every document of a file, lists unfolded. Raises ClickException when it is not YAML."""
    try:
        bodies = [body for body in yaml.safe_load_all(stream.read()) if body is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{source}: not YAML: {error}") from None
    position = 0
    for body in bodies:
        is_list = isinstance(body, dict) and body.get("kind") == "List" and isinstance(body.get("items"), list)
        for item in body["items"] if is_list else [body]:
            position += 1
            yield Document(source, position, item)


def judge(documents: list[Document]) -> list[Verdict]:
    """The faults of every document, judged together: topologies in the input are the ones that exist."""
    bindings = [document.body for document in documents if _is(document.body, kinds.CLUSTER_TOPOLOGY_BINDING)]
    named = {b["metadata"]["name"]: b for b in bindings if not validate_clustertopologybinding(b)}
    topologies = named if bindings else None
    return [_verdict(document, topologies) for document in documents]


def _verdict(document: Document, topologies: Mapping[str, Json] | None) -> Verdict:
    body = document.body
    if not isinstance(body, dict):
        fault = Fault("", "Invalid", "is not an object", "write a mapping with apiVersion, kind and metadata")
        return Verdict(document, (fault,), is_ours=True)
    missing = tuple(
        Fault(part, "Required", "is missing", "set it") for part in ("apiVersion", "kind") if not body.get(part)
    )
    if missing:
        return Verdict(document, missing, is_ours=True)
    faults: list[Fault] | None
    warnings = [Advice(path, PRUNED) for path in pruned_fields(body)]
    if _is(body, kinds.POD_CLIQUE_SET):
        filled = default_podcliqueset(body, with_schema_defaults=True)
        faults = validate_podcliqueset(filled, topologies=topologies)
        warnings += advise_podcliqueset(filled, topologies=topologies) if not faults else []
    elif _is(body, kinds.POD_GANG_SET):
        faults, lost = _as_podcliqueset(body, topologies)
        warnings += lost
    elif _is(body, kinds.DYNAMO_GRAPH_DEPLOYMENT):
        filled = default_dynamographdeployment(body, with_schema_defaults=True)
        faults = validate_dynamographdeployment(filled, topologies=topologies)
    elif _is(body, kinds.CLUSTER_TOPOLOGY_BINDING):
        faults = validate_clustertopologybinding(body)
    else:
        faults = validate_schema(body)
    return Verdict(document, tuple(faults or ()), is_ours=faults is not None, warnings=tuple(warnings))


def _as_podcliqueset(body: Json, topologies: Mapping[str, Json] | None) -> tuple[list[Fault], list[Advice]]:
    """Faults of a PodGangSet and of the PodCliqueSet that it becomes, and what that one can't carry."""
    if faults := validate_schema(body):
        return faults, []
    conversion = converted(body)
    filled = default_podcliqueset(conversion.pod_clique_set, with_schema_defaults=True)
    lost = [Advice(*text.split(": ", 1)) for text in conversion.lost]
    return validate_podcliqueset(filled, topologies=topologies), lost


def _is(body: Any, kind: Kind) -> bool:
    return isinstance(body, dict) and (body.get("apiVersion"), body.get("kind")) == (kind.api_version, kind.kind)


def as_text(verdicts: list[Verdict]) -> str:
    lines = []
    for verdict in verdicts:
        where = f"{verdict.document.source}: {verdict.document.title}"
        if not verdict.is_ours:
            lines.append(f"{where}: not checked (not a kind of Grove or Dynamo)")
        elif not verdict.faults:
            lines.append(f"{where}: ok")
        lines += [f"{where}: {fault}" for fault in verdict.faults]
        lines += [f"{where}: warning: {advice}" for advice in verdict.warnings]
    total = sum(len(verdict.faults) for verdict in verdicts)
    checked = sum(verdict.is_ours for verdict in verdicts)
    lines.append(f"{checked} checked, {total} fault{'' if total == 1 else 's'}")
    return "\n".join(lines)


def as_json(verdicts: list[Verdict]) -> str:
    """A list with one entry for each document: source, document, kind, name, checked, faults, warnings."""
    out = []
    for verdict in verdicts:
        body = verdict.document.body if isinstance(verdict.document.body, dict) else {}
        metadata = body.get("metadata")
        out.append(
            {
                "source": verdict.document.source,
                "document": verdict.document.position,
                "kind": body.get("kind"),
                "name": metadata.get("name") if isinstance(metadata, Mapping) else None,
                "checked": verdict.is_ours,
                "faults": [dataclasses.asdict(fault) for fault in verdict.faults],
                "warnings": [dataclasses.asdict(advice) for advice in verdict.warnings],
            }
        )
    return json.dumps(out, indent=2)
