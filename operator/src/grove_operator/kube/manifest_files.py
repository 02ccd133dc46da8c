"""Manifests from files, directories and standard input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from grove_operator.api.kinds import Json
from grove_operator.engine.whatif.documents import InputError, parse

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STDIN = "-"


def read(paths: Iterable[str | Path], stdin: TextIO | None = None) -> list[Json]:
    """All objects in order. A directory stands for its YAML and JSON files by name, not those of its folders.

    Raises InputError naming the file that is missing, unreadable or no manifest.
    """
    return [obj for path in paths for source, text in _texts(str(path), stdin) for obj in parse(text, source)]


def _texts(path: str, stdin: TextIO | None) -> Iterator[tuple[str, str]]:
    if path == STDIN:
        if stdin is None:
            raise InputError("standard input can't be read here; name a file")
        yield "standard input", stdin.read()
        return
    for file in _files(Path(path)):
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: is not UTF-8 text: {error.reason}; is it a manifest?") from None
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; correct the path") from None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
    if not found:
        raise InputError(f"{path}: the directory has no .yaml, .yml or .json file; name another")
    return found
