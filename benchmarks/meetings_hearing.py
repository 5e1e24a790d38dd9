"""Whether voice is found, and how well and fast English is recognised from packages alone. Synthetic speech throughout.

    .venv/bin/python benchmarks/meetings_hearing.py [--voice] [--words] [--sieve]

Speech is said by espeak-ng (three English voices), which no recogniser was trained on: word error rates are an upper
bound of what a person would get, and say nothing about meetings. Prints one JSON line per figure.

- voice: utterances between pauses of 1 to 4 s, white and pink noise at 30 to 0 dB. Recall is the share of spoken time
  within the stretches found; false alarms the share of time more than half a second from speech.
- words: PocketSphinx over windows that our own cutting made; word error rate and real-time factor, process time.
- cost: reading, resampling and cutting a long recording, and the most memory that it took.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import resource
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.hearing import RATE, Resampler, Sieve, VoiceFinder, Windows
from ikkan.apps.meetings.service.hearing.fakes import FakeTranscriber
from ikkan.apps.meetings.service.hearing.pocketsphinx import PocketSphinx
from ikkan.apps.meetings.service.sound import open_sound
from ikkan.apps.meetings.service.transcribing import listen

Samples = NDArray[np.float32]
SENTENCES = (
    "The meeting starts at nine and we will talk about the budget.",
    "I will send the report on Friday.",
    "Who is going to call the customer?",
    "Let us move the deadline to the end of the month, because the supplier is late.",
    "We agreed to pay one hundred thousand for the new machine.",
    "Please write down what we decided and send it to everybody.",
    "The second question is who will talk to the bank.",
    "There is no more time today, so we meet again next week.",
)
VOICES = ("en-us", "en-gb", "en-us+f3")
PARTS = ("voice", "words", "cost")


def main() -> None:
    options = argparse.ArgumentParser(description="How well voice is found and English recognised; synthetic speech.")
    for part in PARTS:
        options.add_argument(f"--{part}", action="store_true")
    options.add_argument("--hours", type=float, default=2.0, help="Of sound, for the cost.")
    given = options.parse_args()
    if shutil.which("espeak-ng") is None:
        print(json.dumps({"metric": "meetings.hearing", "skipped": "needs espeak-ng: apt-get install espeak-ng"}))
        sys.exit(0)
    chosen = [part for part in PARTS if getattr(given, part)] or list(PARTS)
    if "voice" in chosen:
        voice_found()
    if "words" in chosen:
        words_recognised()
    if "cost" in chosen:
        cost(given.hours)


def voice_found() -> None:
    """Recall and false alarms by kind and loudness of noise."""
    rng = np.random.default_rng(11)
    parts, spoken, at = [], [], 0
    for number in range(24):
        gap = round(rng.uniform(1, 4) * RATE)
        said = trimmed(speech(SENTENCES[number % len(SENTENCES)], VOICES[number % len(VOICES)]))
        parts += [np.zeros(gap, np.float32), said]
        spoken.append(((at + gap) / RATE, (at + gap + len(said)) / RATE))
        at += gap + len(said)
    clean = np.concatenate([*parts, np.zeros(3 * RATE, np.float32)])
    truth = marked(spoken, len(clean))
    near = marked([(start - 0.5, end + 0.5) for start, end in spoken], len(clean))
    power = np.sqrt(np.mean(np.concatenate(parts[1::2]) ** 2))
    for kind in ("white", "pink"):
        for snr_db in (30, 20, 10, 5, 0):
            noise = rng.normal(size=len(clean)) if kind == "white" else pink(len(clean), rng)
            sound = (clean + noise * power * 10 ** (-snr_db / 20)).astype(np.float32)
            began = time.process_time()
            finder = VoiceFinder()
            spans = [*finder.feed(sound), *finder.end()]
            took_s = time.process_time() - began
            found = marked([(span.start_s, span.end_s) for span in spans], len(clean))
            tell(
                "meetings.voice", round(float(found[truth].mean()), 4), "recall",
                noise=kind, snr_db=snr_db, false_alarm=round(float(found[~near].mean()), 4), spoken=len(spoken),
                spans=len(spans), minutes=round(len(clean) / RATE / 60, 1),
                real_time_factor=round(took_s / (len(clean) / RATE), 5),
            )  # fmt: skip
    for level in (0.001, 0.01, 0.1):
        finder = VoiceFinder()
        noise = (pink(300 * RATE, rng) * level).astype(np.float32)
        total = sum(span.end_s - span.start_s for span in [*finder.feed(noise), *finder.end()])
        tell("meetings.voice_in_noise_alone", round(total, 2), "s", of_s=300, noise="pink", level=level)


def words_recognised() -> None:
    """PocketSphinx on what our cutting sends it, clean and with noise."""
    try:
        transcriber = PocketSphinx()
        list(transcriber.transcribe([*Windows().feed(speech("hello", "en-us"))], "en"))
    except Exception as exc:
        print(json.dumps({"metric": "meetings.words", "skipped": str(exc)}))
        return
    rng = np.random.default_rng(5)
    for snr_db in (None, 20, 10):
        wrong = total = sent_s = dropped = 0
        took_s = 0.0
        for number, text in enumerate(SENTENCES * 3):
            said = np.concatenate(
                [np.zeros(RATE, np.float32), speech(text, VOICES[number % 3]), np.zeros(RATE, np.float32)]
            )
            level = 3e-4 if snr_db is None else float(np.sqrt(np.mean(trimmed(said) ** 2))) * 10 ** (-snr_db / 20)
            said = (said + rng.normal(0, level, len(said))).astype(np.float32)
            cutter, sieve = Windows(), Sieve()
            windows = [*cutter.feed(said), *cutter.end()]
            began = time.process_time()
            heard = list(transcriber.transcribe(windows, "en"))
            took_s += time.process_time() - began
            sent_s += sum(window.end_s - window.start_s for window in windows)
            kept = [
                sieve.keep(each.text, each.end_s - each.start_s, above_db=each.above_db, confidence=each.confidence)
                for each in heard
            ]
            dropped += sieve.dropped
            wrong += distance(plain(text), plain(" ".join(kept)))
            total += len(plain(text))
        tell(
            "meetings.word_errors", round(wrong / total, 4), "share", recogniser="pocketsphinx", speech="espeak-ng",
            snr_db="clean" if snr_db is None else snr_db, words=total, utterances=len(SENTENCES) * 3, dropped=dropped,
            real_time_factor=round(took_s / sent_s, 3),
        )  # fmt: skip


def cost(hours: float) -> None:
    """Reading, resampling and cutting a long recording, with a recogniser that costs nothing."""
    block = np.concatenate(
        [np.concatenate([trimmed(speech(text, "en-us")), np.zeros(RATE, np.float32)]) for text in SENTENCES]
    )
    block = np.interp(np.arange(len(block) * 3) / 3, np.arange(len(block)), block).astype(np.float32)  # 48 kHz
    times = round(hours * 3600 * 48_000 / len(block))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        pcm = (np.clip(block, -1, 1) * 32_767).astype("<i2").tobytes()
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(48_000)
            for _ in range(times):
                file.writeframesraw(pcm)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        with path.open("rb") as opened:
            sound = open_sound(opened, "long.wav")
            steps = sum(len(step.heard) for step in listen(sound, FakeTranscriber(), "en", Sieve()))
        took_s = time.process_time() - began
    length_s = times * len(block) / 48_000
    more_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    tell(
        "meetings.listening_cost", round(took_s / length_s, 5), "real_time_factor", hours=round(length_s / 3600, 2),
        rate=48_000, windows=steps, more_memory_mb=round(more_mb, 1),
    )  # fmt: skip


def speech(text: str, voice: str) -> Samples:
    """Synthetic speech at 16,000 samples a second."""
    command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", text]
    made = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(made)) as file:
        rate, frames = file.getframerate(), file.readframes(1 << 30)
    samples = np.frombuffer(frames[: len(frames) // 2 * 2], dtype="<i2").astype(np.float32) / 32_768
    resampler = Resampler(rate)
    return np.concatenate([resampler.feed(samples), resampler.end()])


def trimmed(samples: Samples) -> Samples:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]


def pink(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise as rooms have it: as much power in each octave."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    made = np.fft.irfft(spectrum, count)
    return made / np.std(made)


def marked(spans: list[tuple[float, float]], samples: int) -> NDArray[np.bool_]:
    """Hundredths of a second that lie in one of the spans."""
    made = np.zeros(samples * 100 // RATE + 1, dtype=np.bool_)
    for start_s, end_s in spans:
        made[max(0, round(start_s * 100)) : round(end_s * 100)] = True
    return made


def plain(text: str) -> list[str]:
    """Words without marks."""
    return "".join(letter if letter.isalnum() or letter.isspace() else "" for letter in text.lower()).split()


def distance(right: list[str], heard: list[str]) -> int:
    """Words to put in, take out or change (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(right, start=1):
        before, row[0] = row[0], place
        for other, told in enumerate(heard, start=1):
            before, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, before + (word != told))
    return row[-1]


def tell(metric: str, value: float, unit: str, **more: Any) -> None:
    machine = {"machine": platform.processor() or platform.machine(), "commit": commit(), "speech": "synthetic"}
    print(json.dumps({"metric": metric, "value": value, "unit": unit, **machine, **more}), flush=True)


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
