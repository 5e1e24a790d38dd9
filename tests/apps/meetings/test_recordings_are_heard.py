"""A recording becomes a transcript: in blocks, by a job that goes on where it was, kept sealed, played, erased."""

from __future__ import annotations

import io
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from ikkan.apps import meetings
from ikkan.apps.meetings import store
from ikkan.apps.meetings.rules.hearing import RATE
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.hearing import Ears
from ikkan.apps.meetings.service.hearing.fakes import FakeTranscriber
from ikkan.apps.meetings.service.sound import Growing, Shelf, open_sound
from ikkan.apps.meetings.values import Audience, State
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile, BadInput, NotFound, RequestTooLarge, UnsupportedFormat
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import SubjectId

from .conftest import ADA, BO, EVE
from .hearing import babble, pcm, quiet, talk, wav

LINES = [
    "来期の予算を話し合います。",
    "広告費の上限は百万円でいいですか？",
    "では百万円で決定します。",
    "見積もりを送ります。",
]
TALK = talk(1.5, 1.5, 1.5, 1.5)


@pytest.fixture
def fake() -> FakeTranscriber:
    return FakeTranscriber(LINES)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "sound", Keys.open(tmp_path / "keys"))


@pytest.fixture
def hears(
    database: Database, clock: FakeClock, events: EventLog, shelf: Shelf, fake: FakeTranscriber, tmp_path: Path
) -> MeetingsService:
    return MeetingsService(
        database, events, clock, None,
        most_bytes=1 << 20, shelf=shelf, ears=Ears(lambda: fake), most_sound_bytes=1 << 24, staging=tmp_path / "in",
    )  # fmt: skip


def test_a_recording_becomes_a_transcript_with_times(hears: MeetingsService, fake: FakeTranscriber) -> None:
    meeting = hears.bring(ADA, wav(TALK), "予算.wav", language="ja")
    kept = hears.get(ADA, meeting.id)
    assert [segment.text for segment in kept.transcript] == LINES
    assert [segment.start_s for segment in kept.transcript] == pytest.approx([1.3, 4.3, 7.3, 10.3], abs=0.4)
    assert {segment.confidence for segment in kept.transcript} == {0.9}
    assert (meeting.state, meeting.segments, meeting.length_s) == (State.READY, 4, pytest.approx(13.5, abs=0.1))
    assert "recognised by fake" in meeting.remarks
    assert len(kept.items) == 3 and len(hears.searching.search(ADA, "広告費の上限").quotes) == 1
    sent_s = sum(window.end_s - window.start_s for window in fake.sent)
    assert sent_s < 9.5, "silence is never sent"


def test_a_language_nobody_named_is_that_of_the_words(hears: MeetingsService) -> None:
    meeting = hears.bring(ADA, wav(TALK), "a.wav")
    assert meeting.language == "ja" and len(meeting.remarks) == 1


def test_each_channel_is_a_speaker_who_can_be_renamed(hears: MeetingsService) -> None:
    one = np.concatenate([babble(2), quiet(3, 1e-4), babble(2), quiet(1, 1e-4)])
    other = np.concatenate([quiet(2.5, 1e-4), babble(2, 220), quiet(3.5, 1e-4)])
    meeting = hears.bring(ADA, wav(np.stack([one, other], axis=1)), "call.wav", language="ja")
    kept = hears.get(ADA, meeting.id)
    assert [segment.speaker for segment in kept.transcript] == ["話者1", "話者2", "話者1"]
    renamed = hears.name_speakers(ADA, meeting.id, {"話者1": "佐藤", "話者2": "佐藤"})
    assert renamed.transcript.speakers == ("佐藤",)


@pytest.mark.parametrize("format", ["FLAC", "OGG", "MP3", "WAV"])
def test_formats_of_every_day_are_read_at_any_rate(tmp_path: Path, format: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    made = io.BytesIO()
    at = np.arange(44_100 * 3) / 44_100
    soundfile.write(made, (np.sin(2 * np.pi * 440 * at) / 3).astype(np.float32), 44_100, format=format)
    made.seek(0)
    opened = open_sound(made, f"a.{format.lower()}")
    blocks = list(opened.blocks(1.0))
    assert (opened.rate, opened.channels, opened.length_s) == (44_100, 1, pytest.approx(3, abs=0.1))
    assert sum(map(len, blocks)) == pytest.approx(88_200, abs=4_000)


def test_twelve_hours_take_no_more_memory_than_ten_seconds(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    size = 12 * 3600 * RATE * 2
    with path.open("wb") as file:  # sparse: it is silence, and takes no room
        file.write(wav(np.zeros(0, np.float32))[:40] + size.to_bytes(4, "little"))
        file.truncate(44 + size)
    with path.open("rb") as file:
        opened = open_sound(file, "long.wav")
        assert opened.length_s == 12 * 3600
        assert max(len(block) for block, _ in zip(opened.blocks(), range(3), strict=False)) == RATE * 10
        assert sum(len(block) for block in opened.blocks(12 * 3600 - 25.0)) == 25 * RATE


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"OggS" + bytes(40) + b"OpusHead" + bytes(99), "a.ogg", UnsupportedFormat),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x99\x99" + bytes(40), "a.wav", UnsupportedFormat),
        (b"\0\0\0\x18ftypM4A " + bytes(99), "a.m4a", UnsupportedFormat),
        (b"????" * 99, "a.wma", UnsupportedFormat),
        (wav(np.zeros(0, np.float32)), "a.wav", BadFile),
    ],
)
def test_a_codec_nobody_knows_is_named_and_nothing_is_kept(
    hears: MeetingsService, content: bytes, name: str, error: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(error) as told:
        hears.bring(ADA, content, name)
    assert "flac" in told.value.hint
    assert hears.listed(ADA) == [] and not list((tmp_path / "sound").glob("*"))


def test_ffmpeg_reads_what_libsndfile_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pcm").write_bytes(pcm(TALK))
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "assert sys.argv[sys.argv.index('-f') + 1] == 'mov'\n"
        f"sys.stdout.buffer.write(pathlib.Path({str(tmp_path / 'pcm')!r}).read_bytes())\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    opened = open_sound(io.BytesIO(b"\0\0\0\x18ftypM4A " + bytes(99)), "a.m4a")
    assert sum(map(len, opened.blocks())) == len(TALK)
    opened.close()
    with pytest.raises(UnsupportedFormat):
        open_sound(io.BytesIO(b"#EXTM3U\nfile:///etc/passwd"), "a.mp4")


def test_a_recording_that_is_too_large_or_silent_is_refused_or_says_so(hears: MeetingsService) -> None:
    hears.listening.most_bytes = 1_000  # type: ignore[union-attr]
    with pytest.raises(RequestTooLarge, match="1,000"):
        hears.bring(ADA, wav(TALK), "a.wav")
    hears.listening.most_bytes = 1 << 24  # type: ignore[union-attr]
    with pytest.raises(BadFile, match="nobody speaks"):
        hears.bring(ADA, wav(quiet(5)), "a.wav", language="ja")
    assert [meeting.state for meeting in hears.listed(ADA)] == [State.FAILED]


def test_a_recogniser_that_hears_another_language_keeps_nothing(hears: MeetingsService, fake: FakeTranscriber) -> None:
    fake.languages = frozenset({"en"})
    with pytest.raises(BadInput, match="English only"):
        hears.bring(ADA, wav(TALK), "a.wav", language="ja")
    assert hears.listed(ADA) == []


def test_what_stopped_in_the_middle_goes_on_after_the_last_window(
    hears: MeetingsService, fake: FakeTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = FakeTranscriber.transcribe, []

    def breaks(self: FakeTranscriber, windows: Any, language: str | None) -> Any:
        (window,) = windows
        sent.append(window.start_s)
        if len(sent) == 3:
            raise OSError("the machine stops")
        return real(self, [window], language)

    monkeypatch.setattr(FakeTranscriber, "transcribe", breaks)
    with pytest.raises(OSError):
        hears.bring(ADA, wav(TALK), "a.wav", language="ja")
    (meeting,) = hears.listed(ADA)
    assert meeting.state is State.FAILED
    again = hears.draw_again(ADA, meeting.id)
    assert again.state is State.READY
    assert [segment.text for segment in hears.get(ADA, meeting.id).transcript] == LINES
    assert len(sent) == 5 and sent[3] == pytest.approx(sent[2], abs=0.3), "two windows were kept and not sent again"


def test_sound_is_sealed_on_disk_and_goes_with_its_meeting(
    hears: MeetingsService, shelf: Shelf, tmp_path: Path, database: Database
) -> None:
    content = wav(TALK)
    meeting = hears.bring(ADA, content, "a.wav", language="ja", audience=Audience.TENANT)
    (file,) = (tmp_path / "sound").glob("*")
    assert file.stat().st_mode & 0o077 == 0
    assert content[1_000:1_064] not in file.read_bytes() and b"RIFF" not in file.read_bytes()
    kept = hears.sound(ADA, meeting.id)
    assert kept is not None and b"".join(shelf.played(ADA.tenant_id, kept, 0, kept.bytes)) == content
    assert b"".join(shelf.played(ADA.tenant_id, kept, 70_000, 140_001)) == content[70_000:140_001]
    assert hears.sound(BO, meeting.id) == kept
    with pytest.raises(NotFound):
        hears.sound(EVE, meeting.id)
    damaged = bytearray(file.read_bytes())
    damaged[70_000] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(BadFile, match="damaged"):
        list(shelf.played(ADA.tenant_id, kept, 0, kept.bytes))
    hears.remove(ADA, meeting.id)
    assert not file.exists()


def test_a_forgotten_speaker_takes_the_sound_along(hears: MeetingsService, database: Database) -> None:
    one = np.stack([np.concatenate([babble(2), quiet(2, 1e-4)]), np.concatenate([quiet(2, 1e-4), babble(2)])], axis=1)
    meeting = hears.bring(ADA, wav(one), "a.wav", language="ja", audience=Audience.TENANT)
    hears.claim_speaker(BO, meeting.id, "話者2", is_me=True)
    with database.transaction() as connection:
        store.forget(connection, BO.tenant_id, SubjectId("bo"))
    assert hears.sound(ADA, meeting.id) is None
    assert [segment.text for segment in hears.get(ADA, meeting.id).transcript][1] == ""


def test_a_growing_file_keeps_what_it_acknowledged_whatever_is_cut_off(tmp_path: Path) -> None:
    key, rng = bytes(range(32)), np.random.default_rng(3)
    written = b""
    growing = Growing(tmp_path / "a.sealed", key, "a")
    for size in rng.integers(1, 40_000, size=24).tolist():
        piece = rng.bytes(size)
        written += piece
        assert growing.append(piece) == len(written)
    growing.close()  # as kill -9 leaves it: nothing is finished
    with (tmp_path / "a.tail").open("ab") as tail:
        tail.write(b"\0\0\0\0half a record")
    again = Growing(tmp_path / "a.sealed", key, "a")
    assert again.read(0, 1 << 30) == written
    assert again.append(b"more") == len(written) + 4
    assert again.finish() == len(written) + 4
    again.close()
    once_more = Growing(tmp_path / "a.sealed", key, "a")  # the end was not noted: it goes on as before
    assert once_more.read(0, 1 << 30) == written + b"more"
    once_more.close()


@pytest.fixture
def hearing_home(monkeypatch: pytest.MonkeyPatch, fake: FakeTranscriber) -> None:
    """Whatever platform is made after this hears by the fake."""
    monkeypatch.setattr(meetings, "ears", lambda settings, secret_of: Ears(lambda: fake))


@pytest.fixture
def client(hearing_home: None, platform: Platform) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        yield opened


API = "/a/meetings/v1"


def test_the_worker_listens_and_a_player_is_given_any_part(client: TestClient, platform: Platform) -> None:
    content = wav(TALK)
    told = client.post(f"{API}/meetings", files={"file": ("a.wav", content)}, data={"language": "ja"}).json()
    assert told["state"] == "working"
    assert "<progress" in client.get(f"/meetings/{told['id']}").text
    with platform.jobs.working():
        (job,) = platform.jobs.list(name="meetings.hear")
        assert platform.jobs.wait(job.id, timeout_s=60).state == "done"
    whole = client.get(f"{API}/meetings/{told['id']}").json()
    assert (whole["state"], [each["text"] for each in whole["segments"]]) == ("ready", LINES)
    assert whole["segments"][0]["confidence"] == 0.9
    at = f"{API}/meetings/{told['id']}/sound"
    reply = client.get(at)
    assert (reply.status_code, reply.headers["content-type"], reply.content == content) == (200, "audio/wav", True)
    part = client.get(at, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    assert client.get(at, headers={"range": f"bytes={len(content)}-"}).status_code == 416
    assert f'src="{at}"' in client.get(f"/meetings/{told['id']}").text
    platform.cloud.service.create_tenant("evil", "Evil")
    secret = platform.cloud.service.create_key("eve", tenant_id="evil").secret  # type: ignore[arg-type]
    assert client.get(at, headers={"authorization": f"Bearer {secret}"}).status_code == 404


def test_listening_is_cancelled_and_taken_up_again(
    client: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reached = threading.Event(), threading.Event()
    real = FakeTranscriber.transcribe

    def waits(self: FakeTranscriber, windows: Any, language: str | None) -> Any:
        reached.set()
        gate.wait(30)
        return real(self, windows, language)

    monkeypatch.setattr(FakeTranscriber, "transcribe", waits)
    meeting_id = client.post(f"{API}/meetings", files={"file": ("a.wav", wav(TALK))}, data={"language": "ja"}).json()[
        "id"
    ]
    with platform.jobs.working():
        assert reached.wait(30)
        assert client.post(f"{API}/meetings/{meeting_id}/stop").json()["state"] == "failed"
        gate.set()
        (job,) = platform.jobs.list(name="meetings.hear")
        assert platform.jobs.wait(job.id, timeout_s=60).state == "cancelled"
        assert client.post(f"{API}/meetings/{meeting_id}/draw").json()["state"] == "working"
        job = platform.jobs.list(name="meetings.hear")[0]
        assert platform.jobs.wait(job.id, timeout_s=60).state == "done"
    # The window under way was heard for nothing, and is heard again: the fake says its lines from the next one on.
    segments = client.get(f"{API}/meetings/{meeting_id}").json()["segments"]
    assert [each["text"] for each in segments] == [*LINES[1:], LINES[0]]
    starts = [each["start_s"] for each in segments]
    assert starts == sorted(set(starts))
