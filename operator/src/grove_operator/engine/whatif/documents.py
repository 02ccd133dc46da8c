"""Text into manifests: YAML or JSON, any number of documents, Lists unfolded."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from grove_operator.api.kinds import Json


class InputError(ValueError):
    """The input can't be used; the message names the file or object, the fact and the remedy."""


def parse(text: str, source: str) -> list[Json]:
    """The objects of one file, in order. Raises InputError when it is no YAML or holds something else than objects."""
    found: list[Json] = []
    for position, document in enumerate(_documents(text, source), start=1):
        found += _objects(document, f"{source}: document {position}")
    return found


def _documents(text: str, source: str) -> Iterator[Any]:
    """JSON is YAML too, but read a hundred times quicker as what it is."""
    if text.lstrip().startswith(("{", "[")):
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            pass  # flow-style YAML, or several JSON documents
        else:
            return
    try:
        yield from (d for d in yaml.load_all(text, Loader=_loader()) if d is not None)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {error}") from None


@functools.cache
def _loader() -> Any:
    """PyYAML's safe loader, the quick one where there is one; times stay text, as in JSON."""
    safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in entries if tag != "tag:yaml.org,2002:timestamp"]
        for first, entries in safe.yaml_implicit_resolvers.items()
    }
    return type("Loader", (safe,), {"yaml_implicit_resolvers": resolvers})


def _objects(document: Any, where: str) -> Iterator[Json]:
    """The object itself, or the items of a List; items of a typed list (PodList) take their kind from it."""
    if not isinstance(document, dict):
        raise InputError(f"{where}: is not an object; write a mapping with apiVersion, kind and metadata")
    kind = document.get("kind")
    items = document.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        yield _checked(document, where)
        return
    for number, item in enumerate(items, start=1):
        place = f"{where}, item {number}"
        if not isinstance(item, dict):
            raise InputError(f"{place}: is not an object; write a mapping with apiVersion, kind and metadata")
        said = {} if kind == "List" else {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
        yield from _objects({**said, **item}, place)


def _checked(obj: Json, where: str) -> Json:
    for field in ("apiVersion", "kind"):
        if not isinstance(obj.get(field), str) or not obj[field]:
            raise InputError(f"{where}: {field} is missing; set it")
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: {obj['kind']} has no metadata.name; set it")
    return obj


def render(document: Json, file_name: str = "") -> str:
    """One document as text that `parse` reads back: JSON where the file's name ends in .json, else YAML."""
    if file_name.endswith(".json"):
        return json.dumps(document, indent=1, sort_keys=True) + "\n"
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=True, width=120)
    return text
