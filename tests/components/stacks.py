"""The stacks of this repository, as the engine would hand them to the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from grove_components.config import StackConfig
from grove_components.render import as_engine_gives

ROOT = Path(__file__).parents[2]
IMAGE = f"ghcr.io/grove-py/grove-operator@sha256:{'0' * 64}"
STACKS = ["local", "h100", "gb200-nvl72", "multi-tenant"]


def written(stack: str) -> dict[str, Any]:
    """The stack file's values by key, without the project's prefix; encrypted ones replaced."""
    config = yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())["config"]
    values = {key.removeprefix("grove:"): value for key, value in config.items()}
    return {k: "encrypted" if isinstance(v, dict) and "secure" in v else v for k, v in values.items()}


def stack_config(stack: str, **changed: Any) -> StackConfig:
    """A stack with its operator image named by a dummy digest; `changed` replaces whole keys, None removes them."""
    values = written(stack)
    if stack != "local":
        values["operator"] = {**values["operator"], "image": IMAGE}
    values = {key: value for key, value in {**values, **changed}.items() if value is not None}
    texts = {key: as_engine_gives(value) for key, value in values.items()}
    return StackConfig.parse(texts, {"hfToken"} & set(texts), f"stacks/Pulumi.{stack}.yaml", stack=stack)
