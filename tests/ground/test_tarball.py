"""What we write any tar reads; what we read is only what we wrote, and everything else is refused by name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.ground import tarball
from ikkan.ground.errors import BadFile, BadInput, Conflict, HostileFile, TruncatedFile, UnsupportedFormat

LONG = "/".join(["artifacts", "x" * 120, "言葉" * 20 + ".npy"])


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    writer = tarball.Writer(out)
    for name, content in files.items():
        writer.add(name, io.BytesIO(content), len(content), mode=0o600, mtime_s=1_780_000_000)
    writer.close()
    return out.getvalue()


def read(content: bytes) -> dict[str, bytes]:
    found = {}
    for member in tarball.members(io.BytesIO(content), len(content)):
        found[member.name] = content[member.offset : member.offset + member.bytes]
    return found


def made_by_python(kind: int = tarfile.PAX_FORMAT, **facts: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        info = tarfile.TarInfo("a")
        for name, value in facts.items():
            setattr(info, name, value)
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


FILES = {"a": b"", "keys/b": b"x" * 511, "c": b"y" * 512, LONG: b"z" * 1_025}


def test_what_is_written_comes_back() -> None:
    assert read(archive(FILES)) == FILES


def test_any_tar_reads_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(FILES))) as tar:
        assert {info.name: tar.extractfile(info).read() for info in tar} == FILES  # type: ignore[union-attr]


def test_a_file_that_grows_meanwhile_is_taken_as_long_as_it_was() -> None:
    out = io.BytesIO()
    writer = tarball.Writer(out)
    facts = writer.add("log", io.BytesIO(b"12345678"), 4, mode=0o600, mtime_s=0)
    writer.close()
    assert (facts.bytes, read(out.getvalue())) == (4, {"log": b"1234"})


def test_a_file_that_shrinks_meanwhile_stops_it() -> None:
    with pytest.raises(Conflict, match="shorter"):
        tarball.Writer(io.BytesIO()).add("log", io.BytesIO(b"12"), 4, mode=0o600, mtime_s=0)


def test_a_size_beyond_eight_gib_is_read_from_its_extended_header() -> None:
    info = tarfile.TarInfo("large")
    info.size = 9 << 30
    header = info.tobuf(tarfile.PAX_FORMAT)
    (member,) = _first(header, total_bytes=len(header) + info.size + 1_024)
    assert (member.name, member.bytes) == ("large", 9 << 30)


def _first(header: bytes, total_bytes: int) -> list[tarball.Member]:
    return [next(iter(tarball.members(io.BytesIO(header), total_bytes)))]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "a//b", "./a", "a/.", "a\\b", "a\nb", "x" * 256, "a/" * 600 + "b"]
)
def test_a_name_that_leads_elsewhere_is_refused_both_ways(name: str) -> None:
    with pytest.raises(BadInput):
        archive({name: b"x"})
    with pytest.raises(HostileFile):
        read(made_by_python(name=name))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_only_regular_files_are_read(kind: bytes) -> None:
    with pytest.raises(HostileFile, match="not a file"):
        read(made_by_python(type=kind, linkname="/etc/passwd"))


@pytest.mark.parametrize(
    "headers",
    [
        {"linkpath": "/etc/passwd"},
        {"GNU.sparse.major": "1"},
        {"size": "-1"},
        {"size": "9" * 30},
        {"size": "1e3"},
        {"path": "../../x"},
        {"path": "x" * 80_000},
        {"comment": "hello"},
    ],
    ids=str,
)
def test_extended_headers_say_a_path_and_a_size_or_nothing(headers: dict[str, str]) -> None:
    with pytest.raises(BadFile):
        read(made_by_python(pax_headers=headers))


def test_a_global_header_is_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "/x"}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(HostileFile):
        read(out.getvalue())


def test_another_programs_tar_is_told_apart() -> None:
    with pytest.raises(UnsupportedFormat):
        read(made_by_python(tarfile.GNU_FORMAT))
    with pytest.raises(UnsupportedFormat):
        read(b"not a tar at all".ljust(2_048, b"."))


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 600, 1_023])
def test_an_archive_cut_short_is_named(cut: int) -> None:
    with pytest.raises(TruncatedFile):
        read(archive({"a": b"x" * 300})[:cut])


def test_nothing_may_follow_the_end() -> None:
    assert read(archive({"a": b"x"}) + bytes(10_240)) == {"a": b"x"}
    with pytest.raises(HostileFile, match="follows"):
        read(archive({"a": b"x"}) + bytes(512) + archive({"b": b"y"}))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_changed_the_answer_is_files_or_a_typed_error(data: st.DataObject) -> None:
    content = bytearray(archive(FILES))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    answers(bytes(content[: data.draw(st.sampled_from([cut, len(content)]))]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2_000))
def test_noise_is_a_typed_error(noise: bytes) -> None:
    answers(noise)
    answers(archive({"a": b"x"})[:1_024] + noise)


def answers(content: bytes) -> None:
    try:
        found = read(content)
    except BadFile as error:
        assert error.message and error.hint
    else:
        assert all(tarball.is_safe(name) for name in found)


def test_reading_headers_takes_no_memory_for_content(tmp_path: Path) -> None:
    path = tmp_path / "large.tar"
    info = tarfile.TarInfo("large")
    info.size = 4 << 30
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(512 + info.size + 1_024)  # a hole: nothing is on disk
    with path.open("rb") as file:
        assert [member.bytes for member in tarball.members(file, path.stat().st_size)] == [4 << 30]
