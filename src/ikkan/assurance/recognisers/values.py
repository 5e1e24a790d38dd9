"""What a recogniser finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What a span says about a person."""

    NAME = "name"
    PHONE = "phone"
    EMAIL = "email"
    POSTAL_CODE = "postal_code"
    ADDRESS = "address"
    MY_NUMBER = "my_number"
    """Japan's individual number (個人番号)."""
    NATIONAL_ID = "national_id"
    """Another country's number of a person: a US social security number, a Chinese resident number."""
    BANK_ACCOUNT = "bank_account"
    CARD = "card"
    """A payment card."""
    DOCUMENT = "document"
    """A passport, a driving licence, a residence card, a pension number."""
    BIRTH_DATE = "birth_date"
    IP_ADDRESS = "ip_address"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Personal data at `text[start:end]`."""

    start: int
    end: int
    kind: Kind
    text: str
    """As it stands there."""
    confidence: float
    """From 0 to 1: a check digit with a word beside it is nearly 1, a shape alone about a half."""


PLACEHOLDERS = MappingProxyType(
    {
        Kind.NAME: {"ja": "氏名", "en": "NAME", "zh": "姓名"},
        Kind.PHONE: {"ja": "電話", "en": "PHONE", "zh": "电话"},
        Kind.EMAIL: {"ja": "メール", "en": "EMAIL", "zh": "邮箱"},
        Kind.POSTAL_CODE: {"ja": "郵便番号", "en": "POSTCODE", "zh": "邮编"},
        Kind.ADDRESS: {"ja": "住所", "en": "ADDRESS", "zh": "地址"},
        Kind.MY_NUMBER: {"ja": "個人番号", "en": "MY-NUMBER", "zh": "个人编号"},
        Kind.NATIONAL_ID: {"ja": "身分番号", "en": "NATIONAL-ID", "zh": "身份证"},
        Kind.BANK_ACCOUNT: {"ja": "口座", "en": "ACCOUNT", "zh": "账号"},
        Kind.CARD: {"ja": "カード", "en": "CARD", "zh": "卡号"},
        Kind.DOCUMENT: {"ja": "証明書", "en": "DOCUMENT", "zh": "证件"},
        Kind.BIRTH_DATE: {"ja": "生年月日", "en": "BIRTH-DATE", "zh": "生日"},
        Kind.IP_ADDRESS: {"ja": "IPアドレス", "en": "IP", "zh": "IP地址"},
    }
)
"""What stands in a span's place, by kind and language."""
