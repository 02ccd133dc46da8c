"""Kubernetes quantities as integers: cpu in millicores, everything else in base units (bytes, devices), rounded up."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

SUFFIXES: dict[str, Decimal] = {
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
LARGEST = 2**60
"""Sums over 8 nodes' worth still fit int64; a larger quantity is cut to this."""


def parse(quantity: str | int | float) -> Decimal:
    """The exact value; raises ValueError naming the text when it is no quantity."""
    text = str(quantity).strip()
    digits = text.rstrip("numkKMGTPEi") if not _is_exponent(text) else text
    try:
        return Decimal(digits) * SUFFIXES[text[len(digits) :]]
    except (InvalidOperation, KeyError):
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write e.g. 500m, 2, 16Gi") from None


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


def _is_exponent(text: str) -> bool:
    """`1e3`, `1E3` are numbers; `1E` is one exa."""
    head, mark, tail = text.replace("E", "e").partition("e")
    return bool(mark and head and tail.lstrip("+-").isdigit())
