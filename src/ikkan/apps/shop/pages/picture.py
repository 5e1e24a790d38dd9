"""A picture of a ware that has none: its first sign on paper of the colour of its category. Always the same one."""

from __future__ import annotations

import hashlib
from html import escape

from markupsafe import Markup

from ikkan.apps.shop.values import Ware

_COLOURS = (
    "#b8382a",
    "#2f6f4a",
    "#1d5fa8",
    "#8a6414",
    "#6b4a8a",
    "#2a7f87",
    "#a04a6a",
    "#5d6b2f",
    "#7a5230",
    "#3f5573",
)


def picture(ware: Ware, language: str = "en") -> Markup:
    """The ware as an SVG of 4:3, for people who see it; a page says its name beside it."""
    digits = hashlib.sha256(ware.product_id.encode()).digest()
    colour = _COLOURS[hashlib.sha256(ware.category.split(" > ")[0].encode()).digest()[0] % len(_COLOURS)]
    x, y, r = 40 + digits[0] % 80, 30 + digits[1] % 60, 34 + digits[2] % 26
    sign = escape(next((letter for letter in ware.name_in(language) if letter.isalnum()), "·"))
    # No style attribute: the page's policy forbids inline styles, presentation attributes are none.
    return Markup(
        f'<svg class="picture" viewBox="0 0 160 120" aria-hidden="true" focusable="false">'
        f'<rect width="160" height="120" fill="{colour}" fill-opacity=".14"/>'
        f'<circle cx="{x}" cy="{y}" r="{r}" fill="{colour}" fill-opacity=".22"/>'
        f'<text x="80" y="74" font-size="44" font-weight="600" text-anchor="middle" fill="{colour}">{sign}</text></svg>'
    )
