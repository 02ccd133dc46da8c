"""From a published OpenAPI v3 schema to a structural one that may stand inside a CustomResourceDefinition.

$ref, allOf of one        -> the definition itself (none of the wanted types refers to itself)
description, default      -> dropped: published defaults are Go's zero values, and would be applied in a CRD
enum                      -> dropped: a newer cluster may know more values
Quantity, IntOrString     -> x-kubernetes-int-or-string
keys of list maps         -> required; `protocol` keeps its default TCP, as a missing key would be refused
object without fields     -> keeps what is in it (a driver's own parameters), where a CRD would prune everything
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
KEPT = (
    "type",
    "format",
    "required",
    "nullable",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
)
PREFIX = "#/components/schemas/"
INT_OR_STRING: Json = {"x-kubernetes-int-or-string": True}
KEY_DEFAULTS = {"protocol": "TCP"}


class Inliner:
    """Resolves references within one OpenAPI document's `components.schemas`."""

    def __init__(self, definitions: Json) -> None:
        self._definitions = definitions

    def inline(self, name: str) -> Json:
        return self._schema({"$ref": PREFIX + name}, ())

    def _schema(self, node: Json, inside: tuple[str, ...]) -> Json:
        node = self._resolved(node, inside)
        if "oneOf" in node or node.get("format") == "int-or-string":
            return dict(INT_OR_STRING)
        path = (*inside, node["$name"]) if "$name" in node else inside
        out: Json = {key: node[key] for key in KEPT if key in node}
        if "properties" in node:
            out["properties"] = {name: self._schema(child, path) for name, child in node["properties"].items()}
        if "items" in node:
            out["items"] = self._schema(node["items"], path)
        if "additionalProperties" in node:
            out["additionalProperties"] = self._schema(node["additionalProperties"], path)
        if out.get("x-kubernetes-list-type") == "map":
            _complete_keys(out)
        if out.get("type") == "object" and not out.keys() & {"properties", "additionalProperties"}:
            out["x-kubernetes-preserve-unknown-fields"] = True
        return out

    def _resolved(self, node: Json, inside: tuple[str, ...]) -> Json:
        while True:
            if len(node.get("allOf", ())) == 1:
                node = {**{k: v for k, v in node.items() if k != "allOf"}, **node["allOf"][0]}
            elif "$ref" in node:
                name = node["$ref"].removeprefix(PREFIX)
                if name in inside:
                    raise ValueError(f"{name} refers to itself: it has no structural schema")
                beside = {k: v for k, v in node.items() if k not in ("$ref", "$name")}
                node = {**self._definitions[name], **beside, "$name": name}
            else:
                return node


def _complete_keys(node: Json) -> None:
    """Every key of a list map is required, or has a default."""
    items = node["items"]
    for key in node["x-kubernetes-list-map-keys"]:
        if key in KEY_DEFAULTS:
            items["properties"][key]["default"] = KEY_DEFAULTS[key]
        elif key not in items.get("required", ()):
            items["required"] = sorted([*items.get("required", ()), key])
