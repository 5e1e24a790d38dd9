"""Texts that this project makes, in Japanese and English, so that a proof runs where there is no file.

Each intent is a thing and what is wanted of it; each text names the thing by one of its names, says what is wanted in
one of many ways, and wraps it in courtesies and slips of the keyboard. Who wrote it is nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ikkan.kit.intent.labels import Labelled

_THINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "vpn": {"en": ("the vpn", "remote access", "my tunnel"), "ja": ("VPN", "リモート接続", "社外からの接続")},
    "password": {"en": ("my password", "the login", "my sign-in"), "ja": ("パスワード", "ログイン", "暗証")},
    "printer": {"en": ("the printer", "the copier", "the scanner"), "ja": ("プリンター", "複合機", "コピー機")},
    "badge": {"en": ("my badge", "the entry card", "my door pass"), "ja": ("社員証", "入館証", "セキュリティカード")},
    "expense": {"en": ("my expense claim", "the reimbursement", "travel costs"), "ja": ("経費精算", "立替", "旅費")},
    "invoice": {"en": ("the invoice", "that bill", "the supplier's bill"), "ja": ("請求書", "支払伝票", "インボイス")},
    "leave": {"en": ("my leave", "days off", "the vacation"), "ja": ("有給休暇", "年休", "お休み")},
    "room": {
        "en": ("the meeting room", "room booking", "the conference room"),
        "ja": ("会議室", "応接室", "部屋の予約"),
    },
    "parcel": {"en": ("the parcel", "my delivery", "the package"), "ja": ("荷物", "宅配便", "配送品")},
}
_WANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "get": {
        "en": ("how do i get {}", "i need {} set up", "who gives out {}", "applying for {}", "first time with {}"),
        "ja": ("{}を申請したい", "{}をもらうには", "{}はどこで頼めますか", "{}を新しく使いたい", "{}の手続きは"),
    },
    "broken": {
        "en": ("{} does not work", "there is an error with {}", "{} stopped again", "{} is stuck", "trouble with {}"),
        "ja": ("{}が動きません", "{}でエラーになる", "{}がまた止まった", "{}の調子が悪い", "{}がうまくいかない"),
    },
    "cancel": {
        "en": ("please cancel {}", "i no longer need {}", "take back {}", "withdraw {}", "get rid of {}"),
        "ja": ("{}を取り消したい", "{}はもう要りません", "{}を取り下げたい", "{}をやめたい", "{}を返却したい"),
    },
}
_BEFORE = {
    "en": ("", "", "hi, ", "sorry, ", "quick one: ", "urgent - ", "morning, ", "again: ", "for a colleague: "),
    "ja": (
        "",
        "",
        "すみません、",
        "至急、",
        "お疲れさまです。",
        "ちょっと質問です。",
        "たびたび、",
        "同僚の代わりに、",
    ),
}
_AFTER = {
    "en": ("", "", " please", " thanks", ", since monday", ", what now", " before the audit", " for the new office"),
    "ja": (
        "",
        "",
        "。お願いします",
        "。月曜からです",
        "。どうすれば",
        "。監査の前に",
        "。新しい事務所です",
        "。急ぎです",
    ),
}


def made(n: int, seed: int = 0) -> tuple[Labelled, ...]:
    """So many texts, half of them Japanese; the same number and seed give the same texts.

    >>> rows = made(400)
    >>> len({row.intent for row in rows}), rows == made(400)
    (27, True)
    """
    rng = np.random.default_rng([seed, 0x3ADE])

    def pick(values: Sequence[str]) -> str:
        return values[int(rng.integers(len(values)))]

    rows = []
    for number in range(n):
        lang = ("ja", "en")[number % 2]
        thing, want = pick(tuple(_THINGS)), pick(tuple(_WANTS))
        says = pick(_WANTS[want][lang]).format(pick(_THINGS[thing][lang]))
        text = _slip(pick(_BEFORE[lang]) + says + pick(_AFTER[lang]), rng)
        rows.append(Labelled(text, f"{thing} {want}"))
    return tuple(rows)


def _slip(text: str, rng: np.random.Generator) -> str:
    """Every sixth text has two neighbouring letters exchanged, or one left out."""
    at, kind = int(rng.integers(1, len(text) - 1)), int(rng.integers(12))
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if kind == 1 else text
