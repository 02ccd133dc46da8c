"""The API's reference page, from the models: every field with its type, default, bounds and meaning."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.api.crds import DEFINITIONS, Definition
from grove_operator.api.kinds import Json
from grove_operator.api.structural import structural_schema

HEAD = """# API reference

Written by `grove crds --reference`, from the same models as the CRDs: what `kubectl explain` says, on one page. Bold
fields are required. Kubernetes' own types (pod specs, metrics, claim specs, spread constraints) are shown by name only.
"""
REPEATED = ("conditions", "lastErrors")
"""Lists that mean the same everywhere: their entries are shown once, with the first kind."""


def reference() -> str:
    """The whole page as Markdown."""
    shown: set[str] = set()
    return "\n".join([HEAD, *(part for definition in DEFINITIONS for part in _kind(definition, shown))])


def _kind(definition: Definition, shown: set[str]) -> Iterator[str]:
    kind = definition.kind
    schema = structural_schema(definition.model, embed=False)
    scope = "namespaced" if kind.namespaced else "cluster-wide"
    yield f"## {kind.kind}\n"
    yield f"`{kind.api_version}`, `{kind.plural}` (`{definition.short_name}`), {scope}. {schema['description']}\n"
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    for part in ("spec", "status"):
        if part in schema["properties"]:
            yield from _fields(schema["properties"][part], part, shown)
    yield ""


def _fields(schema: Json, prefix: str, shown: set[str]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        place = f"{prefix}.{name}"
        told = f"**{place}**" if name in required else place
        default = f"`{field['default']}`" if "default" in field else ""
        yield f"| {told} | {_type(field)} | {default} | {_meaning(field)} |"
        if name in REPEATED:
            if name in shown:
                continue
            shown.add(name)
        yield from _below(field, place, shown)


def _below(field: Json, place: str, shown: set[str]) -> Iterator[str]:
    if "properties" in field:
        yield from _fields(field, place, shown)
    elif "properties" in field.get("items", {}):
        yield from _fields(field["items"], f"{place}[]", shown)
    elif "properties" in field.get("additionalProperties", {}):
        yield from _fields(field["additionalProperties"], f"{place}{{}}", shown)


def _type(field: Json) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "int or string"
    if field["type"] == "array":
        keys = field.get("x-kubernetes-list-map-keys")
        return f"list of {_type(field['items'])}" + (f" by {', '.join(keys)}" if keys else "")
    if field["type"] == "object" and "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return str(field.get("format") or field["type"])


def _meaning(field: Json) -> str:
    text = str(field.get("description", "")).replace("\n", " ").replace("|", "\\|")
    if "enum" in field:
        text += f" One of {', '.join(f'`{value}`' for value in field['enum'])}."
    bounds = [f"{word} {field[key]}" for key, word in (("minimum", "at least"), ("maximum", "at most")) if key in field]
    return text + (f" {', '.join(bounds).capitalize()}." if bounds else "")
