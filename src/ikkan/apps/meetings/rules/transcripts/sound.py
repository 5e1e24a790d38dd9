"""Sound, told from text by its first bytes, so that the answer can say what it would take."""

from __future__ import annotations

_WAVE = {1: "PCM", 2: "MS ADPCM", 3: "float PCM", 6: "A-law", 7: "µ-law", 0x11: "IMA ADPCM", 0x55: "MP3", 0xFFFE: "PCM"}
_OGG = ((b"OpusHead", "Opus"), (b"vorbis", "Vorbis"), (b"Speex", "Speex"), (b"fLaC", "FLAC"))
_STARTS = (
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
    (b"#!AMR", "AMR"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"caff", "Core Audio"),
    (b"0&\xb2u\x8ef\xcf\x11", "Windows Media"),
)
ENDINGS = (
    "wav", "mp3", "m4a", "aac", "ogg", "oga", "opus", "flac", "amr", "wma", "webm", "mkv", "mp4", "mov", "aiff", "caf",
)  # fmt: skip
"""What files with sound are called."""


def sound(head: bytes, ending: str) -> str | None:
    """What kind of sound a file is, by its first bytes, else by its name; None for anything else.

    >>> sound(b"OggS" + bytes(24) + b"OpusHead", "txt"), sound(b"Ada: hello", "txt"), sound(b"????", "wav")
    ('Opus in Ogg', None, 'sound of an unknown codec (wav)')
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        place = head.find(b"fmt ")
        code = int.from_bytes(head[place + 8 : place + 10], "little") if place > 0 else 0
        return f"{_WAVE.get(code, f'codec 0x{code:04x}')} in WAV"
    if head[:4] == b"OggS":
        return next((f"{name} in Ogg" for mark, name in _OGG if mark in head), "an unknown codec in Ogg")
    if head[4:8] == b"ftyp":
        return "MP4 or M4A"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "AIFF"
    for mark, name in _STARTS:
        if head.startswith(mark):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 != 0xF0:
        return "MP3"
    return f"sound of an unknown codec ({ending})" if ending in ENDINGS else None
