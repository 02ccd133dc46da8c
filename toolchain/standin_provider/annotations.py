"""The `pulumi.com/...` annotations: how to wait, how long, how to delete. An unknown one raises; none is ignored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from standin_provider.errors import ProviderError, Unmodelled
from standin_provider.objects import AUTONAMED
from standin_provider.waitfor import Wait, parse_wait
from standin_provider.wire import UNKNOWNS, Json

PREFIX = "pulumi.com/"
DEFAULT_TIMEOUT_S = 600.0
_PROPAGATION = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}


@dataclass(frozen=True)
class Settings:
    wait_for: tuple[Wait, ...] = ()
    skip_await: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    force: bool = False
    field_manager: str = ""
    propagation: str = "Foreground"


def read_settings(obj: Json, custom_timeout_s: float = 0.0) -> Settings:
    """`custom_timeout_s`: the resource's own `custom_timeouts`, which win over the annotation; 0 if there is none.

    Raises ProviderError for a value that the official provider refuses, Unmodelled for what only that one can do.
    """
    metadata = obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    own = {k: v for k, v in annotations.items() if k.startswith(PREFIX)} if isinstance(annotations, dict) else {}
    own = {key.removeprefix(PREFIX): value for key, value in own.items() if value not in UNKNOWNS}
    known = {"waitFor", "skipAwait", "timeoutSeconds", "patchForce", "patchFieldManager", "deletionPropagationPolicy"}
    for key in own.keys() - known - {AUTONAMED.removeprefix(PREFIX)}:
        raise Unmodelled(f"the annotation {PREFIX}{key}")
    return Settings(
        wait_for=_waits(own.get("waitFor")),
        skip_await=_flag(own, "skipAwait"),
        timeout_s=custom_timeout_s or _seconds(own.get("timeoutSeconds")),
        force=_flag(own, "patchForce"),
        field_manager=str(own.get("patchFieldManager", "")),
        propagation=_propagation(own.get("deletionPropagationPolicy")),
    )


def _waits(value: Any) -> tuple[Wait, ...]:
    if value is None:
        return ()
    text = str(value).strip()
    texts: Any = [text]
    if text.startswith("["):
        try:
            texts = json.loads(text)
        except ValueError as error:
            raise ProviderError(f"{PREFIX}waitFor: {text!r} is not a JSON array ({error})") from error
    if not texts or not all(isinstance(item, str) for item in texts):
        raise ProviderError(f"{PREFIX}waitFor: {text!r} must be a string or an array of strings, at least one")
    return tuple(parse_wait(item) for item in texts)


def _flag(own: Json, key: str) -> bool:
    value = str(own.get(key, "false")).lower()
    if value not in ("true", "false"):
        raise Unmodelled(f"{PREFIX}{key}: {own[key]!r} (true or false)")
    return value == "true"


def _seconds(value: Any) -> float:
    if value is None:
        return DEFAULT_TIMEOUT_S
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise ProviderError(f"{PREFIX}timeoutSeconds: {value!r} is not a positive number of seconds")
    return seconds


def _propagation(value: Any) -> str:
    policy = str("foreground" if value is None else value).lower()
    if policy not in _PROPAGATION:
        raise ProviderError(f"{PREFIX}deletionPropagationPolicy: {value!r} is not one of {', '.join(_PROPAGATION)}")
    return _PROPAGATION[policy]
