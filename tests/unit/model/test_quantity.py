"""Quantities: exact both ways, for what the API server takes and only that."""
from __future__ import annotations

import random
from fractions import Fraction

import pytest

from akeso.model.quantity import format_bytes, parse_bytes, parse_quantity, round_up


@pytest.mark.parametrize(("text", "number"), [
    ("0", 0), ("128Mi", 128 * 2**20), ("1.5Gi", 3 * 2**29), ("500m", Fraction(1, 2)), ("2e3", 2000), ("2E3", 2000),
    ("1E", 10**18), ("1Ei", 2**60), ("1k", 1000), ("1M", 10**6), (".5", Fraction(1, 2)), ("5.", 5), ("+1Ki", 1024),
    ("-1", -1), ("1e-3", Fraction(1, 1000)), ("100n", Fraction(1, 10**7)), ("3u", Fraction(3, 10**6)),
    (7, 7), (0.1, Fraction(1, 10)),
    ("128974848", 128974848), ("129e6", 129_000_000), ("123Mi", 128974848), ("128974848000m", 128974848),
])
def test_parsing(text: str, number: Fraction) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", [
    "", " 1", "1 ", "Mi", "1mi", "1K", "1KI", "1.2.3", "1e", "1e999", "e3", "--1", "0x10", "1_000", "١", "NaN", "inf",
    "1Mii",
    "9" * 41, "1" * 200, None, True, [], {}, float("nan"), float("inf"),
])
def test_what_the_api_server_would_not_take_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_bytes_are_rounded_up_and_never_negative() -> None:
    assert parse_bytes("1500m") == 2
    assert parse_bytes("0.1Ki") == 103
    with pytest.raises(ValueError, match="negative"):
        parse_bytes("-1Mi")
    with pytest.raises(ValueError, match="negative"):
        format_bytes(-1)


@pytest.mark.parametrize(("amount", "text"), [
    (0, "0"), (1, "1"), (1023, "1023"), (1024, "1Ki"), (1610612736, "1536Mi"), (2_000_000, "2M"), (128_000_000, "128M"),
    (2**30, "1Gi"), (2**40, "1Ti"), (1000, "1k"), (1_024_000, "1000Ki"), (100 * 2**20, "100Mi"), (1025, "1025"),
])
def test_printing_is_readable(amount: int, text: str) -> None:
    assert format_bytes(amount) == text


def test_printing_and_parsing_are_inverse() -> None:
    dice = random.Random(20261120)
    for _ in range(5_000):
        amount = dice.randrange(0, 10**dice.randrange(1, 19)) * dice.choice([1, 1000, 1024, 10**6, 2**20, 2**30])
        assert parse_bytes(format_bytes(amount)) == amount
        assert len(format_bytes(amount)) <= len(str(amount)) + 1


def test_every_spelling_of_an_amount_is_the_same_amount() -> None:
    dice = random.Random(7)
    for _ in range(2_000):
        whole = dice.randrange(1, 10**6)
        amount = parse_quantity(f"{whole}Gi")
        assert amount == parse_quantity(f"{whole * 1024}Mi") == parse_quantity(f"{whole * 2**20}Ki")
        assert parse_quantity(f"{whole}k") == parse_quantity(f"{whole}e3") == parse_quantity(f"{whole * 10**6}m")
        shown = f"{whole // 1000}.{whole % 1000:03d}"
        assert parse_quantity(f"{shown}G") == whole * 10**6


def test_rounding_up() -> None:
    assert [round_up(n, 10) for n in (0, 1, 9, 10, 11)] == [0, 10, 10, 10, 20]
