"""What is written alike everywhere - mail, cards, addresses of machines - and what English-speaking people write."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ikkan.assurance.recognisers.checks import iban, luhn
from ikkan.assurance.recognisers.folding import digits, near
from ikkan.assurance.recognisers.values import Kind, Span

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@"
    r"(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_CARD = re.compile(
    r"(?<![0-9.])(?<![0-9]-)(?:[3-6][0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}"
    r"|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}"
    r"|3[068][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{4}|2[2-7][0-9]{2}([ -]?)[0-9]{4}\2[0-9]{4}\2[0-9]{4})(?!-?[0-9])"
)
_NO_CARD = re.compile(
    r"法人番号|伝票|注文番号|追跡|シリアル|製造番号|tracking|serial|order (?:no|number|id)|invoice", re.IGNORECASE
)
_IPV4 = re.compile(r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9A-Za-z])")
_IPV6 = re.compile(
    r"(?<![0-9A-Fa-f:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::|[0-9A-Fa-f]{1,4})(?::?[0-9A-Fa-f]{1,4}){0,6}(?![0-9A-Za-z:.])"
)
_VERSION = re.compile(r"(?:ver(?:sion)?|バージョン|版|release|build|v)[.: ]{0,2}$", re.IGNORECASE)
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])")
_US_PHONE = re.compile(
    r"(?<![0-9])(?<![0-9][-.])(?:\+?1[-. ]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-. ])[2-9][0-9]{2}[-. ][0-9]{4}"
    r"(?![-.]?[0-9])"
)
_ABROAD = re.compile(
    r"(?<![0-9+])\+(?!81|86|1[-. (]?[2-9])[1-9][0-9]{0,2}[ -]?(?:\(0\) ?)?[0-9]{1,4}(?:[ -][0-9]{2,8}){1,4}(?![0-9])"
)
_SSN = re.compile(r"(?<![0-9-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9-])")
_SSN_WORDS = re.compile(r"\bssn\b|social security", re.IGNORECASE)
_WORD = r"[A-Z][A-Za-z]{0,20}(?:['’-][A-Z][A-Za-z]{0,20})?"
_TITLED = re.compile(
    rf"(?<![A-Za-z])(?:Mr|Mrs|Ms|Mx|Dr|Prof)(?:\. ?| )({_WORD}(?: (?:[A-Z]\. )?{_WORD}){{0,2}})|"
    rf"(?<![A-Za-z])Miss ({_WORD}(?: {_WORD})?)"
)
_SAID = re.compile(
    r"(?<![A-Za-z])(?:[Mm]y name is|[Nn]ame:|[Tt]his is|[Ss]igned,?|[Dd]ear|[Ss]incerely,|[Rr]egards,"
    rf"|[Cc]ustomer:|[Cc]ontact:)\s{{1,3}}({_WORD} {_WORD})(?![a-z])"
)
_POLITE = re.compile(
    rf"(?<![A-Za-z])({_WORD}(?: {_WORD})?)(?:-(?:san|sama|sensei)(?![a-z])| ?(?:さん|様|氏|先生)(?!子|式|々))"
)
_WORDS = """
The This That You Your We Our They It Sir Madam Team All Customer Customers Support Service Hiring Manager
Colleague Colleagues Friend Friends Everyone Valued Sales Office Department Company Pepper Right Wrong
Universe America World User Users Guest Member Members Please Not A An In On Of For Best Kind Account Staff
Vendor Partner Google Amazon Microsoft Apple Sony Toyota Honda Slack Zoom VPN PC IT AI IBM NTT KDDI
"""
_NO_ONE = frozenset(_WORDS.split())
_CAPITAL = re.compile("[A-Z]")
_STREET = re.compile(
    r"(?<![0-9A-Za-z.,-])[0-9]{1,5}[A-Z]? (?:[NSEW]\.? )?(?:[A-Z][a-z]{1,15}|[0-9]{1,3}(?:st|nd|rd|th))"
    r"(?: [A-Z][a-z]{1,15}){0,2} "
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Terrace|Way|Square|Sq)"
    r"(?![a-z])\.?"
    r"(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?[0-9A-Z]{1,5})?(?:, [A-Z][a-z]{1,15}(?: [A-Z][a-z]{1,15})?(?:, [A-Z]{2}"
    r"(?: [0-9]{5}(?:-[0-9]{4})?)?)?)?"
)
_PASSPORT = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z]{1,2}[0-9]{7}|[0-9]{9})(?![A-Za-z0-9])")
_PASSPORT_WORDS = re.compile(r"passport", re.IGNORECASE)
_LICENCE = re.compile(r"(?<![A-Za-z0-9-])(?:[A-Z][0-9]{7,14}|[A-Z]{1,2}[0-9]{6,8}|[0-9]{7,12})(?![A-Za-z0-9-])")
_LICENCE_WORDS = re.compile(r"driv(?:er|ing)[’'s]{0,2} licen[cs]e", re.IGNORECASE)
_BORN = re.compile(
    r"(?<![A-Za-z])(?:born on|date of birth|DOB|birth ?date|birthday)(?:(?: is|:)? {1,2}|:)"
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}|[0-9]{1,2} [A-Z][a-z]{2,8} [0-9]{4}"
    r"|[A-Z][a-z]{2,8} [0-9]{1,2},? [0-9]{4})",
    re.IGNORECASE,
)


def find(text: str, plain: str) -> Iterator[Span]:
    """Spans of this file's kinds. `plain` is `folded(text)`."""

    def span(kind: Kind, start: int, end: int, confidence: float) -> Span:
        return Span(start, end, kind, text[start:end], confidence)

    for found in _EMAIL.finditer(plain) if "@" in plain else ():
        yield span(Kind.EMAIL, *found.span(), 0.95)
    for found in _CARD.finditer(plain):
        number = digits(found[0])
        if luhn(number) and len(set(number)) > 1 and not _NO_CARD.search(near(plain, *found.span(), 16)):
            yield span(Kind.CARD, *found.span(), 0.95)
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(plain):
            if _is_someones(found[0]) and not _VERSION.search(plain[max(0, found.start() - 9) : found.start()]):
                yield span(Kind.IP_ADDRESS, *found.span(), 0.85)
    for found in _US_PHONE.finditer(plain):
        yield span(Kind.PHONE, *found.span(), 0.85)
    for found in _ABROAD.finditer(plain) if "+" in plain else ():
        if 8 <= len(digits(found[0])) <= 15:
            yield span(Kind.PHONE, *found.span(), 0.8)
    for found in _SSN.finditer(plain) if _SSN_WORDS.search(plain) else ():
        if _SSN_WORDS.search(near(plain, *found.span(), 40, 20)):
            yield span(Kind.NATIONAL_ID, *found.span(), 0.95)
    for found in _PASSPORT.finditer(plain) if _PASSPORT_WORDS.search(plain) else ():
        if _PASSPORT_WORDS.search(near(plain, *found.span(), 30, 12)):
            yield span(Kind.DOCUMENT, *found.span(), 0.9)
    for found in _LICENCE.finditer(plain) if _LICENCE_WORDS.search(plain) else ():
        if _LICENCE_WORDS.search(near(plain, *found.span(), 36, 0)):
            yield span(Kind.DOCUMENT, *found.span(), 0.85)
    for found in _BORN.finditer(plain):
        yield span(Kind.BIRTH_DATE, *found.span(1), 0.9)
    if not _CAPITAL.search(plain):
        return
    for found in _IBAN.finditer(plain):
        # The optional tail may have taken a following word: the shorter reading counts if it is the right one.
        for piece in (found[0], found[0].rpartition(" ")[0]):
            joined = piece.replace(" ", "")
            if 15 <= len(joined) <= 34 and iban(joined):
                yield span(Kind.BANK_ACCOUNT, found.start(), found.start() + len(piece), 0.99)
                break
    for found in _STREET.finditer(plain):
        yield span(Kind.ADDRESS, *found.span(), 0.75)
    for pattern, confidence in ((_TITLED, 0.85), (_SAID, 0.75), (_POLITE, 0.8)):
        for found in pattern.finditer(plain):
            group = 1 if found[1] else 2
            if not _NO_ONE.intersection(found[group].split()) and not found[group].isupper():
                yield span(Kind.NAME, *found.span(group), confidence)


def _is_someones(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)
