"""resource.Quantity: parsing, comparing and the canonical form that the API server writes back."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_BINARY = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4, "Pi": 1024**5, "Ei": 1024**6}
_DECIMAL = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
}
_PATTERN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?$")


class QuantityError(ValueError):
    """Not a quantity, in the words of the API server."""

    def __init__(self) -> None:
        super().__init__(
            "quantities must match the regular expression"
            " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Fraction:
    """The exact value of a quantity such as 200m or 10Mi."""
    number, suffix = _split(text)
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return number * Fraction(10) ** int(suffix[1:])
    return number * _DECIMAL[suffix]


@lru_cache(maxsize=4096)
def canonical_quantity(text: str) -> str:
    """Kubernetes resource.Quantity.CanonicalizeBytes: largest suffix that leaves an integer."""
    _, suffix = _split(text)
    value = parse_quantity(text)
    if value == 0:
        return "0"
    if suffix in _BINARY and abs(value) >= 1024 and value.denominator == 1:
        for unit, size in reversed(_BINARY.items()):
            if value % size == 0:
                return f"{value // size}{unit}"
        return str(value)
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        exponent = 0
        while value % 1000 == 0:
            value, exponent = value / 1000, exponent + 3
        return f"{value}e{exponent}" if exponent else str(value)
    return format_quantity(value)


def format_quantity(value: Fraction) -> str:
    """A value in decimal notation, rounded up to a nano unit."""
    if value == 0:
        return "0"
    for unit, size in reversed(_DECIMAL.items()):
        if (value / size).denominator == 1:
            return f"{value / size}{unit}"
    return f"{-(-value // _DECIMAL['n'])}n"


def _split(text: str) -> tuple[Fraction, str]:
    found = _PATTERN.match(text)
    if found is None:
        raise QuantityError
    return Fraction(found.group(1)), found.group(2) or ""
