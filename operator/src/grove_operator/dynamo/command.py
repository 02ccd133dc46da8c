"""Commands of engines: which engine one runs, and how flags get into it (dynamo reference 2.8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import Component, Graph, MappingError

_MODULE = re.compile(r"(python[0-9.]*\s+(?:-\w+\s+)*-m\s+dynamo\.(vllm|sglang|trtllm)\S*)")


def backend(graph: Graph, component: Component) -> str:
    """vllm, sglang, trtllm, or '' when neither the command nor the graph tells. MappingError when they disagree."""
    said = graph.spec.get("backendFramework") or ""
    if not component.is_worker:
        return ""
    found = _MODULE.search(text_of(component.main_container))
    seen = found.group(2) if found else ""
    if said and seen and said != seen:
        raise MappingError(
            f"service {component.name}: its command runs dynamo.{seen}, but backendFramework is {said}; make them agree"
        )
    return said or seen


def with_flags(container: Json, flags: str) -> Json:
    """The container with `flags` behind its framework's own; through a shell when they hold shell arithmetic."""
    command, args = list(container.get("command") or ()), list(container.get("args") or ())
    if runs_python(container):
        if "$((" not in flags:
            return {**container, "args": args + flags.split(" ")}
        return {**container, "command": ["sh", "-c"], "args": [f"exec {quoted_line(container)} {flags}"]}
    for field, words in (("args", args), ("command", command)):
        for position, word in enumerate(words):
            if _MODULE.search(word):
                words[position] = _MODULE.sub(lambda found: f"{found.group(1)} {flags}", word, count=1)
                return {**container, field: words}
    return container


def runs_python(container: Json) -> bool:
    """Whether the command is Python itself, rather than a shell or a program of the image."""
    command: list[str] = container.get("command") or []
    return bool(command) and re.fullmatch(r"(.*/)?python[0-9.]*", command[0]) is not None


def shell_line(container: Json) -> str:
    """What a shell has to run to do what the container does."""
    command: list[str] = container.get("command") or []
    args: list[str] = container.get("args") or []
    if len(command) >= 2 and re.fullmatch(r"(.*/)?(ba|da)?sh", command[0]) and command[1].startswith("-"):
        return " ".join([*command[2:], *args])
    return quoted_line(container)


def quoted_line(container: Json) -> str:
    """Command and args, each word quoted for the shell."""
    return " ".join(_quoted(word) for word in [*(container.get("command") or ()), *(container.get("args") or ())])


def text_of(container: Json) -> str:
    return " ".join([*(container.get("command") or ()), *(container.get("args") or ())])


def number_after(words: Sequence[str], *spellings: str) -> int:
    """The number behind a flag, written `--flag N` or `--flag=N`; 1 when it is absent."""
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in spellings:
            value = value if equals else (words[position + 1] if position + 1 < len(words) else "")
            if value.isdigit():
                return int(value)
    return 1


def _quoted(word: str) -> str:
    """Quoted for the shell; Kubernetes' own $(VAR) is replaced before the shell sees it."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else shlex.quote(word)
