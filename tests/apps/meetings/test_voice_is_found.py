"""Silence is never sent: where there is a voice, how it is cut, whose it is, and what recognisers make up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ikkan.apps.meetings.rules.hearing import RATE, Loudest, Resampler, Sieve, Turn, VoiceFinder, Windows

from .hearing import babble, quiet, talk


def spans_of(samples: np.ndarray, piece: int) -> list[tuple[float, float]]:
    finder = VoiceFinder()
    found = [span for at in range(0, len(samples), piece) for span in finder.feed(samples[at : at + piece])]
    return [(span.start_s, span.end_s) for span in [*found, *finder.end()]]


@pytest.mark.parametrize("piece", [1_000, 16_001, 1 << 30])
def test_voice_is_found_whatever_the_size_of_the_pieces(piece: int) -> None:
    found = spans_of(talk(2.0, 1.0), piece)
    assert np.array(found) == pytest.approx(np.array([[1.3, 3.8], [4.8, 6.3]]), abs=0.35)


@pytest.mark.parametrize(
    "sound",
    [np.zeros(RATE * 5, np.float32), quiet(5, 1e-5), quiet(5, 0.05), np.full(RATE * 5, 0.4, np.float32)],
    ids=["nothing", "a silent room", "steady noise", "a constant"],
)
def test_silence_and_steady_noise_are_no_voice(sound: np.ndarray) -> None:
    assert spans_of(sound, 4_000) == []


def test_somebody_who_speaks_from_the_first_moment_is_heard() -> None:
    ((start, end),) = spans_of(np.concatenate([babble(4) + quiet(4), quiet(2)]), 8_000)
    assert start < 0.5 and 3.5 < end < 4.6


def test_noise_that_comes_and_stays_is_floor_at_last() -> None:
    found = spans_of(
        np.concatenate([quiet(3, 1e-3), quiet(40, 0.02, seed=2), babble(2) + quiet(2, 0.02), quiet(2, 0.02)]), RATE
    )
    assert found[-1][0] == pytest.approx(42.8, abs=0.4)
    assert sum(end - start for start, end in found[:-1]) < 20


def test_windows_hold_no_silence_and_are_never_too_long() -> None:
    sound = np.concatenate([talk(1.0), babble(70) + quiet(70), quiet(2)])
    cutter = Windows(longest_s=20)
    windows = [window for at in range(0, len(sound), 5_000) for window in cutter.feed(sound[at : at + 5_000])]
    windows += cutter.end()
    assert max(window.end_s - window.start_s for window in windows) <= 20.01
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in itertools.pairwise(windows))
    assert sum(window.end_s - window.start_s for window in windows) == pytest.approx(72, abs=3)
    for window in windows:
        first = round(window.start_s * RATE)
        assert np.allclose(window.samples, sound[first : first + len(window.samples)], atol=1e-6)


def test_a_window_holds_one_voice() -> None:
    cutter = Windows(turns=[Turn(0.0, 3.0, "A"), Turn(3.0, 9.0, "B")])
    windows = [*cutter.feed(talk(4.0)), *cutter.end()]
    assert [window.speaker for window in windows] == ["A", "B"]
    assert windows[0].end_s == pytest.approx(3.0, abs=0.01)


def test_each_channel_is_one_person_unless_all_hear_the_same_room() -> None:
    a, b = talk(2.0, start_s=1.0), talk(2.0, start_s=4.0)[: len(talk(2.0, start_s=1.0))]
    long = max(len(a), len(b))
    own = np.stack([np.resize(a, long), np.concatenate([np.zeros(long - len(b), np.float32), b])], axis=1)
    apart, together = Loudest(RATE), Loudest(RATE)
    own[:, 1] = np.roll(own[:, 0], RATE * 3) * 0.9
    for at in range(0, len(own), 7_000):
        apart.feed(own[at : at + 7_000])
        together.feed(np.repeat(own[at : at + 7_000, :1], 2, axis=1))
    assert {turn.speaker for turn in apart.turns("ja")} == {"話者1", "話者2"}
    assert together.turns("ja") == []


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 11_025])
def test_any_rate_becomes_sixteen_thousand_without_aliases(rate: int) -> None:
    at = np.arange(rate * 2) / rate
    sound = np.sin(2 * np.pi * 1_000 * at).astype(np.float32)
    sound += np.float32(rate > 32_000) * np.sin(2 * np.pi * 15_000 * at).astype(np.float32)
    resampler = Resampler(rate)
    made = np.concatenate([resampler.feed(sound[:7_001]), resampler.feed(sound[7_001:]), resampler.end()])
    right = np.sin(2 * np.pi * 1_000 * np.arange(len(made)) / RATE)
    assert len(made) == RATE * 2
    assert np.abs(made - right)[800:-800].max() < 0.02


@pytest.mark.parametrize(
    "text",
    [
        "ご視聴ありがとうございました",
        "字幕 by 翻訳チーム",
        "Thanks for watching!",
        "Subtitles by the Amara.org community",
        "请不吝点赞 订阅 转发",
        "谢谢观看。",
        "[Music]",
        "♪",
        "…",
        "Please subscribe.",
    ],
)
def test_what_nobody_says_in_a_meeting_is_dropped(text: str) -> None:
    assert Sieve().keep(text, 3.0, above_db=20, confidence=0.99) == ""


@pytest.mark.parametrize(
    "text",
    [
        "ご視聴ありがとうございましたと最後に入れてください。",
        "Subtitles by Friday, please.",
        "字幕制作完成了吗？",
        "ありがとうございます。",
        "字幕の予算を決めます。",
        "はい、はい。",
        "No, no, no.",
    ],
)
def test_what_people_say_stays(text: str) -> None:
    assert Sieve().keep(text, 4.0, above_db=15, confidence=0.9) == text


def test_loops_are_cut_and_lines_that_come_again_and_again_are_dropped() -> None:
    sieve = Sieve()
    assert sieve.keep("ありがとう" * 30, 20.0, above_db=15) == "ありがとう"
    lines = [sieve.keep("We need more budget.", 3.0, above_db=15) for _ in range(5)]
    assert lines == ["We need more budget."] * 2 + [""] * 3
    assert [sieve.keep("はい。", 1.0, above_db=15) for _ in range(5)] == ["はい。"] * 5
    assert sieve.keep("words " * 3 + "of an hour in half a second, which nobody says", 0.5, above_db=15) == ""
    assert sieve.dropped == 4
