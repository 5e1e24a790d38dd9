"""Transcripts of every kind and condition are read, mended with a remark, or refused with a reason."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from ikkan.apps.meetings.rules.transcripts import read
from ikkan.ground.errors import BadFile, BadInput, HostileFile, IkkanError, UnsupportedFormat

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
JA = "佐藤：それでは、定例会議を始めます。\n鈴木：はい、お願いします。\n佐藤：見積もりは金曜日までに送ってください。\n"
ZH = "王伟：我们开始今天的项目会议。\n李娜：好的，预算已经确定了吗？\n王伟：还没有，下周三之前由我负责完成。\n"
EN = "Ada: Let's begin.\nBo Chen: I will send the “draft” by Friday – promised.\nAda: Good.\n"


def docx(body: str, head: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", f"{head}<w:document {W}><w:body>{body}</w:body></w:document>")
    return packed.getvalue()


def told(data: bytes | str, name: str = "") -> list[tuple[str, str, float | None]]:
    transcript = read(data.encode() if isinstance(data, str) else data, name)
    return [(segment.speaker, segment.text, segment.start_s) for segment in transcript]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada: Hi\nBo: Yes: now", [("Ada", "Hi", None), ("Bo", "Yes: now", None)]),
        ("佐藤：開始\n\n鈴木： はい", [("佐藤", "開始", None), ("鈴木", "はい", None)]),
        ("[00:12:03] 佐藤：開始\n[00:12:09] 鈴木：はい", [("佐藤", "開始", 723.0), ("鈴木", "はい", 729.0)]),
        ("00:01 Ada: a\n00:07.5 Bo: b", [("Ada", "a", 1.0), ("Bo", "b", 7.5)]),
        ("发言人1  00:03\n大家好\n发言人2  00:09\n你好", [("发言人1", "大家好", 3.0), ("发言人2", "你好", 9.0)]),
        ("Ada (0:03): a\nBo (0:04): b", [("Ada", "a", 3.0), ("Bo", "b", 4.0)]),
        ("Just talk.\nMore talk.", [("", "Just talk.", None), ("", "More talk.", None)]),
        ("We said two things.\nFirst: go.\nThat is all.\nReally.", [
            ("", "We said two things.", None), ("", "First: go.", None), ("", "That is all.", None),
            ("", "Really.", None),
        ]),
        ("10:30 に集まります。\n佐藤さんも来ます。\nよろしく。", [
            ("", "10:30 に集まります。", None), ("", "佐藤さんも来ます。", None), ("", "よろしく。", None),
        ]),
        ("予算:百万\n会議は10:30から:全員", [("予算", "百万\n会議は10:30から:全員", None)]),
        ("See https://example.com now", [("", "See https://example.com now", None)]),
    ],
)  # fmt: skip
def test_plain_text_names_who_spoke_and_when(text: str, expected: list[object]) -> None:
    assert told(text) == expected


def test_captions_tell_voices() -> None:
    vtt = (
        "WEBVTT - made by a tool\n\nNOTE not said\n\n1\n00:00:01.000 --> 00:00:03.000 align:start\n<v Ada>Hello</v>\n\n"
        "00:00:04.000 --> 00:00:06.000\n<v.loud Bo>We go.</v>\n<v Ada>Fine &amp; good.</v>\n\n"
        "00:00:07.000 --> 00:00:08.000\nBo: Bye\n"
    )
    assert told(vtt) == [("Ada", "Hello", 1.0), ("Bo", "We go.", 4.0), ("Ada", "Fine & good.", 4.0), ("Bo", "Bye", 7.0)]
    srt = "1\n00:00:01,500 --> 00:00:02,000\nAda: one\n2\n00:01:00,000 --> 00:01:01,000\n<i>two</i>\n"
    assert told(srt, "x.srt") == [("Ada", "one", 1.5), ("", "two", 60.0)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"segments": [{"speaker": "A", "start_s": 0, "end_s": 2.5, "text": "x"}]}, [("A", "x", 0.0)]),
        ({"text": "x y", "segments": [{"id": 0, "start": 1.25, "end": 2, "text": " x"}]}, [("", "x", 1.25)]),
        ([{"speaker": "A", "start": "00:01:02", "text": "x"}, {"text": ""}], [("A", "x", 62.0)]),
        (
            {"Transcription": {"Paragraphs": [{"SpeakerId": "1", "Words": [
                {"SentenceId": 1, "Start": 4970, "End": 5560, "Text": "您好，"},
                {"SentenceId": 1, "Start": 5730, "End": 6176, "Text": "我是。"},
                {"SentenceId": 2, "Start": 7000, "End": 7100, "Text": "对。"},
            ]}]}},
            [("Speaker 1", "您好，我是。", 4.97), ("Speaker 1", "对。", 7.0)],
        ),
        ({"segments": [{"speaker": "A", "start": float("inf"), "text": "x"}]}, [("A", "x", None)]),
    ],
)  # fmt: skip
def test_json_of_several_makers_is_one_shape(found: object, expected: list[object]) -> None:
    assert told(json.dumps(found)) == expected


def test_a_word_document_is_read_by_paragraph_and_by_row() -> None:
    said = "<w:p><w:r><w:t>佐藤：始め</w:t></w:r><w:r><w:t>ます</w:t></w:r></w:p><w:p/>"
    row = (
        "<w:tr>"
        + "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in ("鈴木", "はい"))
        + "</w:tr>"
    )
    assert told(docx(f"{said}<w:tbl>{row}</w:tbl>")) == [("佐藤", "始めます", None), ("鈴木", "はい", None)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(JA, name) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp932", "euc_jp")]
    + [(ZH, name) for name in ("utf-8", "utf-16", "gb18030")]
    + [(EN, name) for name in ("utf-8", "cp1252", "utf-16")],
)
def test_every_usual_encoding_is_read_back(text: str, encoding: str) -> None:
    assert told(text.encode(encoding)) == told(text)


def test_broken_characters_are_counted_and_the_rest_is_kept() -> None:
    transcript = read(JA.encode().replace("鈴".encode(), b"\xe9\x88", 1))
    assert "木" in transcript.speakers[1] and "1 characters" in transcript.remarks[0]


@pytest.mark.parametrize(("text", "language"), [(JA, "ja"), (ZH, "zh"), (EN, "en")])
def test_the_language_is_heard_unless_it_is_said(text: str, language: str) -> None:
    assert read(text.encode()).language == language
    assert read(text.encode(), language="zh").language == "zh"


def test_two_people_of_one_name_are_told_apart_where_the_file_does() -> None:
    said = [("佐藤", 1), ("佐藤", 2), ("鈴木", 3), ("佐藤", 1)]
    entries = [{"speaker": name, "speaker_id": voice, "text": "はい"} for name, voice in said]
    transcript = read(json.dumps({"segments": entries}).encode())
    assert [segment.speaker for segment in transcript] == ["佐藤 (1)", "佐藤 (2)", "鈴木", "佐藤 (1)"]
    assert len(transcript.remarks) == 1


def test_a_clock_that_begins_again_goes_on() -> None:
    transcript = read(b"[00:10:00] A: a\n[00:20:00] B: b\n[00:00:05] A: c\n[00:01:00] B: d\n")
    assert [segment.start_s for segment in transcript] == [600.0, 1200.0, 1205.0, 1260.0]
    assert [segment.text for segment in transcript] == ["a", "b", "c", "d"]
    assert len(transcript.remarks) == 1


def test_times_that_jump_back_and_forth_are_put_in_order() -> None:
    lines = [f"[{hour:02d}:{minute:02d}:00] S{hour}: {hour}.{minute}" for hour in range(1, 9) for minute in (50, 5)]
    transcript = read("\n".join(lines).encode())
    starts = [segment.start_s or 0.0 for segment in transcript]
    assert starts == sorted(starts) and len(starts) == 16 and transcript.remarks


def test_twelve_hours_are_read() -> None:
    clock = "\n".join(
        f"[{t // 3600:02d}:{t // 60 % 60:02d}:{t % 60:02d}] S{t % 5}: word {t}" for t in range(0, 43_200, 4)
    )
    transcript = read(clock.encode())
    assert (len(transcript.segments), transcript.segments[-1].start_s) == (10_800, 43_196.0)


@pytest.mark.parametrize(
    "data",
    [
        (b" " * 200 + b"x\n") * 5_000,
        b"x" + b" " * 2_000_000 + b"y",
        b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"<v " * 200_000,
        b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v" + b".a" * 200_000,
        (b"(" * 200 + b"\n") * 5_000,
        b"0:" * 500_000,
        b"a: " * 500_000,
    ],
    ids=range(7),
)
@pytest.mark.timeout(60)
def test_no_line_makes_the_reader_slow(data: bytes) -> None:
    assert read(data).segments


def test_a_page_without_line_ends_is_cut_at_sentences() -> None:
    transcript = read(("予算を来期に向けて見直します。" * 400).encode())
    assert len(transcript.segments) > 5 and all(segment.text.endswith("。") for segment in transcript)
    assert "".join(segment.text for segment in transcript) == "予算を来期に向けて見直します。" * 400


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"", "a.txt", BadFile),
        (b" \n\n", "a.txt", BadFile),
        (b"{}", "a.json", BadFile),
        (b'{"segments": []}', "a.json", BadFile),
        (b"[" * 100_000, "a.json", BadFile),
        (b"not json", "a.json", BadFile),
        (bytes(range(256)) * 50, "a.txt", BadFile),
        (b"PK\x03\x04 and no more", "a.docx", BadFile),
        (docx("", '<!DOCTYPE x [<!ENTITY a "b">]>'), "a.docx", HostileFile),
        (docx("<w:p>"), "a.docx", BadFile),
        (b"%PDF-1.7 ...", "a.pdf", UnsupportedFormat),
        (b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x11\x00" + bytes(40), "a.wav", UnsupportedFormat),
        (b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x99\x77" + bytes(40), "a.wav", UnsupportedFormat),
        (b"????????", "a.opus", UnsupportedFormat),
    ],
)
def test_what_cannot_be_read_says_why_and_what_to_do(data: bytes, name: str, kind: type[IkkanError]) -> None:
    with pytest.raises(kind) as caught:
        read(data, name)
    assert caught.value.hint


def test_a_codec_is_named() -> None:
    with pytest.raises(UnsupportedFormat, match="codec 0x7799") as caught:
        read(b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x99\x77" + bytes(40), "a.wav")
    assert caught.value.facts == {"codec": "codec 0x7799 in WAV"}


def test_a_language_nobody_here_knows_is_refused() -> None:
    with pytest.raises(BadInput, match="'fr'"):
        read(b"Ada: oui", language="fr")
