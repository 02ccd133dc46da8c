"""Kubernetes quantities as integers: cpu in millicores, everything else in base units (bytes, devices), rounded up."""

from __future__ import annotations

from decimal import ROUND_CEILING

from grove_operator.api.quantity import SUFFIXES, parse

LARGEST = 2**60
"""Sums over 8 nodes' worth still fit int64; a larger quantity is cut to this."""


def amount(resource: str, quantity: str | int | float) -> int:
    """Integer amount of a resource: millicores for cpu, else whole base units."""
    if isinstance(quantity, int) or (isinstance(quantity, str) and quantity.isdigit()):  # the common case, quick
        whole = int(quantity)
        return min(whole * 1000 if resource == "cpu" else whole, LARGEST)
    value = parse(quantity) * (1000 if resource == "cpu" else 1)
    return min(int(value.to_integral_value(ROUND_CEILING)), LARGEST)


def spell(resource: str, value: int) -> str:
    """For people: `1 nvidia.com/gpu`, `1500m cpu`, `12.5Gi memory`."""
    if resource == "cpu":
        return f"{value // 1000} cpu" if value % 1000 == 0 else f"{value}m cpu"
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for suffix in ("Ti", "Gi", "Mi", "Ki"):
            unit = int(SUFFIXES[suffix])
            if value >= unit:
                return f"{round(value / unit, 1):g}{suffix} {resource}"
    return f"{value} {resource}"
