"""Check digits, each as its own authority defines it. Every function takes digits only.

Sources: My Number, Ministry of Internal Affairs and Communications ordinance no. 85 of 2014, article 5; payment cards,
ISO/IEC 7812-1 annex B (Luhn); resident numbers, GB 11643-1999 (ISO 7064 MOD 11-2); IBAN, ISO 13616 (ISO 7064 MOD
97-10).
"""

from __future__ import annotations

from datetime import date

_MY_NUMBER = (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
_RESIDENT = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def my_number(digits: str) -> bool:
    """Twelve digits whose last is right.

    >>> my_number("123456789018"), my_number("123456789012")
    (True, False)
    """
    if len(digits) != 12:
        return False
    rest = sum(int(d) * w for d, w in zip(digits, _MY_NUMBER, strict=False)) % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def luhn(digits: str) -> bool:
    """A payment card's number.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for at, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + at % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def resident(number: str) -> bool:
    """A Chinese resident number: seventeen digits with a birth date among them, and a check digit or X.

    >>> resident("11010519491231002X"), resident("110105194912310021")
    (True, False)
    """
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    rest = sum(int(d) * w for d, w in zip(number, _RESIDENT, strict=False)) % 11
    return "10X98765432"[rest] == number[17].upper()


def iban(text: str) -> bool:
    """An international account number, without spaces.

    >>> iban("GB82WEST12345698765432"), iban("GB83WEST12345698765432")
    (True, False)
    """
    turned = text[4:] + text[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1
