"""Pulumi's property maps on the wire <-> plain JSON with the paths that are secret and those that aren't known yet.

A secret travels as `{<signature key>: <secret signature>, value: ...}`, an unknown as one of a few fixed strings. Here
a `Tree` holds the bare value and two sets of paths; a secret path covers everything below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.struct_pb2 import Struct

from standin_provider.errors import Unmodelled

Path = tuple[str | int, ...]
Json = dict[str, Any]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker of the protocol, not a secret
OTHER_SIGNATURES = {
    "c44067f5952c0a294b673a41bacd8c17": "assets",
    "0def7320c3a5731c473e5ecbe6d01bc7": "archives",
    "5cf8f73096256a8f31e491e813e4eb8e": "resource references",
    "d0e6a833031e9bbcd3f4e8bde6ca49a4": "output values",
}
UNKNOWNS = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


@dataclass(frozen=True)
class Tree:
    value: Json
    secrets: frozenset[Path] = field(default_factory=frozenset)
    unknowns: frozenset[Path] = field(default_factory=frozenset)


def decode(struct: Struct) -> Tree:
    """The map without nulls; whole numbers become ints (the wire has doubles only). Raises Unmodelled (assets, ...)."""
    secrets: set[Path] = set()
    unknowns: set[Path] = set()
    value = _decode_struct(struct, (), secrets, unknowns)
    return Tree(value if isinstance(value, dict) else {}, frozenset(secrets), frozenset(unknowns))


def _decode_struct(struct: Struct, path: Path, secrets: set[Path], unknowns: set[Path]) -> Any:
    signature = struct.fields[SIGNATURE].string_value if SIGNATURE in struct.fields else ""
    if signature == SECRET:
        secrets.add(path)
        return _decode_value(struct.fields["value"], path, secrets, unknowns)
    if signature:
        raise Unmodelled(f"{OTHER_SIGNATURES.get(signature, 'special values')} at {show(path)}")
    return {
        key: _decode_value(item, (*path, key), secrets, unknowns)
        for key, item in struct.fields.items()
        if item.WhichOneof("kind") not in (None, "null_value")
    }


def _decode_value(item: Any, path: Path, secrets: set[Path], unknowns: set[Path]) -> Any:
    kind = item.WhichOneof("kind")
    if kind == "struct_value":
        return _decode_struct(item.struct_value, path, secrets, unknowns)
    if kind == "list_value":
        return [_decode_value(v, (*path, i), secrets, unknowns) for i, v in enumerate(item.list_value.values)]
    if kind == "string_value":
        if item.string_value in UNKNOWNS:
            unknowns.add(path)
        return item.string_value
    if kind == "number_value":
        number = item.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return item.bool_value if kind == "bool_value" else None


def encode(value: Json, secrets: Iterable[Path] = ()) -> Struct:
    """The wire form, with a secret wrapper at each path that exists in `value`."""
    struct = Struct()
    struct.update(_wrap(value, (), frozenset(secrets)))
    return struct


def _wrap(value: Any, path: Path, secrets: frozenset[Path]) -> Any:
    if path in secrets:
        return {SIGNATURE: SECRET, "value": value}
    if isinstance(value, dict):
        return {key: _wrap(item, (*path, key), secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_wrap(item, (*path, index), secrets) for index, item in enumerate(value)]
    return value


def show(path: Path) -> str:
    """The path as Pulumi writes it: `spec.ports[0].name`, `metadata.annotations["a.b/c"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and all(c.isalnum() or c in "_-$" for c in part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def is_secret(path: Path, secrets: Iterable[Path]) -> bool:
    return any(path[: len(secret)] == secret for secret in secrets)


def secret_texts(tree: Tree) -> frozenset[str]:
    """Every string below a secret path that is long enough to recognise in a message (4 characters)."""
    return frozenset(
        text
        for path in tree.secrets
        for text in _texts(_at(tree.value, path))
        if len(text) >= 4 and text not in UNKNOWNS
    )


def redact(message: str, texts: Iterable[str]) -> str:
    """The message with every secret text replaced: API servers quote the values that they refuse."""
    for text in sorted(texts, key=len, reverse=True):
        message = message.replace(text, "[secret]")
    return message


def _at(value: Any, path: Path) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
