"""Kubernetes quantities, exactly: `128Mi`, `1.5Gi`, `500m`, `2e3`. Source: apimachinery `resource.Quantity`."""
from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_FACTORS: Final[dict[str, Fraction]] = {
    "": Fraction(1), "m": Fraction(1, 10**3), "u": Fraction(1, 10**6), "n": Fraction(1, 10**9),
    **{suffix: Fraction(factor) for suffix, factor in (_BINARY | _DECIMAL).items()},
}
# The alternatives are disjoint: `1E` is exa, `1E3` is an exponent. Lengths are bounded, since specs are hostile too.
_QUANTITY: Final = re.compile(
    r"(?P<sign>[+-]?)(?P<digits>[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<suffix>[KMGTPE]i|[numkMGTPE]?))",
)


def parse_quantity(value: Any) -> Fraction:
    """The exact number: bytes for memory, cores for CPU. Raises ValueError for what the API server would not take."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"not a quantity: {value!r:.80}")
    match = _QUANTITY.fullmatch(str(value)) if len(str(value)) <= 96 else None
    if match is None:
        raise ValueError(f"not a quantity: {value!r:.80}")
    number = Fraction(Decimal(match["digits"])) * (-1 if match["sign"] == "-" else 1)
    if match["exponent"] is not None:
        return number * Fraction(10) ** int(match["exponent"])
    return number * _FACTORS[match["suffix"]]


def parse_bytes(value: Any) -> int:
    """Whole bytes, rounded up as the scheduler does. Raises ValueError, also for a negative amount."""
    number = parse_quantity(value)
    if number < 0:
        raise ValueError(f"negative amount: {value!r:.80}")
    return -(-number.numerator // number.denominator)


def format_bytes(amount: int) -> str:
    """The shortest exact form without fraction, binary before decimal: 1610612736 is `1536Mi`, 2000000 is `2M`."""
    if amount < 0:
        raise ValueError(f"negative amount: {amount}")
    if amount == 0:
        return "0"
    exact = [f"{amount // factor}{suffix}" for suffix, factor in (_BINARY | _DECIMAL).items() if amount % factor == 0]
    return min([*exact, str(amount)], key=lambda text: len(text.rstrip("i")))


def round_up(amount: int, unit: int) -> int:
    """The next multiple of unit that is not below amount."""
    return -(-amount // unit) * unit
