"""Money: integer micros (millionths) of a currency. No floats ever touch an amount."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NewType

from ikkan.ground.errors import BadInput

Micros = NewType("Micros", int)
"""Millionths of the currency unit: 1 JPY = 1,000,000 micros."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one million tokens cost, by kind, in micros of `currency`.

    >>> price = Price("JPY", input_micros=100_000_000, cached_micros=10_000_000, output_micros=400_000_000)
    >>> price.of(input_tokens=1000, cached_tokens=400, output_tokens=10)   # 600 fresh, 400 cached, 10 out
    68000
    """

    currency: str
    """ISO 4217 code, upper case."""
    input_micros: int
    """Per million fresh input tokens."""
    cached_micros: int
    """Per million input tokens that were read from a prefix cache."""
    output_micros: int
    """Per million output tokens."""

    def of(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> Micros:
        """The cost of one answer, rounded half up to a whole micro. `input_tokens` includes the cached ones."""
        assert 0 <= cached_tokens <= input_tokens and output_tokens >= 0, "token counts contradict each other"
        fresh = input_tokens - cached_tokens
        millionths = fresh * self.input_micros + cached_tokens * self.cached_micros + output_tokens * self.output_micros
        return Micros((millionths + 500_000) // 1_000_000)


FREE = Price("JPY", 0, 0, 0)


def format_micros(micros: int, currency: str) -> str:
    """Exact and readable, for people: trailing zeros dropped.

    >>> format_micros(1_234_500, "JPY"), format_micros(-5, "USD"), format_micros(0, "JPY")
    ('1.2345 JPY', '-0.000005 USD', '0 JPY')
    """
    sign, rest = ("-", -micros) if micros < 0 else ("", micros)
    whole, part = divmod(rest, 1_000_000)
    digits = f"{part:06d}".rstrip("0")
    return f"{sign}{whole:,}{'.' + digits if digits else ''} {currency}"


def parse_micros(text: str) -> Micros:
    """An amount as a person types it, in micros.

    Raises:
        BadInput: it is no amount, negative, or larger than we keep.

    >>> parse_micros("1200.5"), parse_micros("0.25")
    (1200500000, 250000)
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as exc:
        raise BadInput(f"{text!r} is no amount", hint="write it like 5000 or 0.25") from exc
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        raise BadInput(f"{text!r} is no amount we can keep", hint="between 0 and 1,000,000,000")
    return Micros(int(amount * 1_000_000))
