"""What the operator's configuration decides about the desired state."""

from __future__ import annotations

from dataclasses import dataclass

from grove_operator.api.constants import SCHEDULER_NAME


@dataclass(frozen=True, slots=True)
class Settings:
    """`scheduler_name` is for pods whose template names none; `init_image` holds `grove-initc`, with its tag."""

    scheduler_name: str = SCHEDULER_NAME
    init_image: str = "ghcr.io/grove-py/grove-initc:0.1.0"
    topology_enabled: bool = True
    nvlink_enabled: bool = False
    backends: tuple[str, ...] = (SCHEDULER_NAME, "default-scheduler")
    """Schedulers that have a profile."""
