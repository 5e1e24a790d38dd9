"""What may be suggested: a ware is a product as a shopper sees it, with what the merchant says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ware:
    """A product on the shelf. Support knows the same thing by the same id as a `Product` with its items."""

    product_id: str
    name: str
    category: str
    """From general to special, parted by " > ": `Kitchen > Coffee > Grinders`."""
    price_micros: int
    """Of the cheapest item that can be had."""
    currency: str
    added_at: datetime
    description: str = ""
    brand: str = ""
    seller: str = ""
    margin_share: float | None = None
    """What is left of the price for the merchant, 0 to 1; None where nobody said."""
    stock: int | None = None
    """Pieces; None: not counted, so never sold out."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Name → value: `{"colour": "red", "material": "wool"}`."""
    tags: tuple[str, ...] = ()
    image: str = ""
    """Where its picture lies, if anywhere; pages draw one if not."""
    is_listed: bool = True
    """False once it was taken from the shelf: never suggested, still known to orders."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Its name in other languages, by language: `{"ja": "手挽きコーヒーミル"}`."""

    def name_in(self, language: str) -> str:
        """Its name as this reader reads it, else the name it came with."""
        return self.names.get(language, self.name)

    @property
    def can_be_had(self) -> bool:
        """Whether somebody could buy one now."""
        return self.is_listed and self.stock != 0

    @property
    def facets(self) -> Mapping[str, str]:
        """All that describes it as name → value: its attributes, category, brand and seller. What models see of it."""
        said = {"category": self.category, "brand": self.brand, "seller": self.seller}
        return {**{name: value for name, value in said.items() if value}, **self.attributes}
