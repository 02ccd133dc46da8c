"""Kubernetes quantities as the exact values they mean."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

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


def parse(quantity: str | int | float) -> Decimal:
    """The exact value; raises ValueError naming the text when it is no quantity."""
    text = str(quantity).strip()
    digits = text.rstrip("numkKMGTPEi") if not _is_exponent(text) else text
    try:
        return Decimal(digits) * SUFFIXES[text[len(digits) :]]
    except (InvalidOperation, KeyError):
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write e.g. 500m, 2, 16Gi") from None


def _is_exponent(text: str) -> bool:
    """`1e3`, `1E3` are numbers; `1E` is one exa."""
    head, mark, tail = text.replace("E", "e").partition("e")
    return bool(mark and head and tail.lstrip("+-").isdigit())
