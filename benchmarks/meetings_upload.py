"""A large recording is sent, and the house is killed in the middle. What is sent twice, and what memory does it take?

    .venv/bin/python benchmarks/meetings_upload.py [--mb 200] [--pieces-mb 4 0] [--kill-at 0.5]

Starts a gateway in a home of its own, on this machine, and sends a WAV of noise and silence that is made on the way,
by the doors that the page uses: begin, add piece by piece, ask where it stands, take it in. At `--kill-at` the gateway
is killed with signal 9 in the middle of a piece, started again, and the upload goes on. `--pieces-mb 0` sends the whole
file as one piece, as curl would. In the end the sound is fetched again: its sha256 must be that of what was sent.
Memory is each gateway's peak (VmHWM); processor time is theirs, user and system. Prints one JSON line per way of
sending.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import platform
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HOUSE = Path(__file__).parents[1]
API = "/a/meetings/v1"
MIB = 1 << 20
_HEAD = 44
_READY_S = 120.0
_STROKE = 64 << 10
"""So much is handed to the line at a time."""


class Wav:
    """A recording that is never whole in memory: any part of it can be made."""

    def __init__(self, size: int, seed: int = 1) -> None:
        self.size, self._seed = size, seed

    def part(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`."""
        made = b"".join(self._block(at) for at in range(start // MIB, -(-end // MIB)))
        return made[start % MIB : start % MIB + end - start]

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for at in range(0, self.size, MIB):
            digest.update(self.part(at, min(at + MIB, self.size)))
        return digest.hexdigest()

    def _block(self, number: int) -> bytes:
        rng = np.random.default_rng((self._seed, number))
        loud = 300 if number % 2 else 0
        block: bytes = (rng.normal(0, loud, MIB // 2) if loud else np.zeros(MIB // 2)).astype("<i2").tobytes()
        return self._wave_head() + block[_HEAD:] if number == 0 else block

    def _wave_head(self) -> bytes:
        of_sound = self.size - _HEAD
        return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + of_sound, b"WAVE",
                           b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16, b"data", of_sound)  # fmt: skip


@dataclass
class Gateway:
    """The house's gateway, in a process that may be killed."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    peaks_mib: list[float] = field(default_factory=list)
    idle_mib: float = 0.0
    cpu_s: float = 0.0

    def start(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
        environ |= {"IKKAN_HOME": str(self.home), "IKKAN_PORT": str(self.port)}
        with (self.home / "gateway.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ikkan", "serve"], env=environ, stdout=log, stderr=log
            )
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.ask("GET", "/health/gateway").status == 200:
                    # A first list of meetings, so that whatever is loaded at the first request is there.
                    self.ask("GET", f"{API}/meetings")
                    self.idle_mib = self._peak_mib()
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit((self.home / "gateway.txt").read_text(encoding="utf-8")[-2_000:])

    def end(self, number: int) -> None:
        assert self.process is not None
        self.peaks_mib.append(self._peak_mib())
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu_s += (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        self.process.send_signal(number)
        self.process.wait(30)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        told = {"content-type": "application/json"} if body is not None else {}
        line.request(method, path, None if body is None else json.dumps(body), told | headers)
        answer = line.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        line.close()
        return reply

    def _peak_mib(self) -> float:
        assert self.process is not None
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", told)[0]) / 1024


@dataclass(frozen=True)
class Reply:
    """An answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.status < 300, (self.status, self.body[:500])
        return json.loads(self.body)


def main() -> None:
    options = argparse.ArgumentParser(description="A large recording is sent, and the house is killed in the middle.")
    options.add_argument("--mb", type=int, default=200)
    options.add_argument("--pieces-mb", type=int, nargs="+", default=[4, 0], help="0: the whole file as one piece")
    options.add_argument("--kill-at", type=float, default=0.5)
    given = options.parse_args()
    wav = Wav(given.mb * 1_000_000 // 2 * 2)
    promised = wav.sha256()
    for piece_mb in given.pieces_mb:
        with gateway() as house:
            told = sent(house, wav, promised, piece_mb * MIB or wav.size, round(given.kill_at * wav.size))
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=HOUSE, capture_output=True, text=True, check=False
        ).stdout.strip()
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        print(json.dumps({"metric": "meetings_upload", **told, "commit": commit, "machine": machine}))


@contextmanager
def gateway() -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        house = Gateway(Path(folder), port)
        house.start()
        try:
            yield house
        finally:
            if house.process is not None and house.process.poll() is None:
                house.process.kill()
                house.process.wait(30)


def sent(house: Gateway, wav: Wav, promised: str, piece: int, kill_at: int) -> dict[str, Any]:
    """Send it all, with one death on the way; what it took."""
    begun = {"filename": "noise.wav", "bytes": wav.size, "sha256": promised, "fields": {"language": "en"}}
    at = f"{API}/uploads/{house.ask('POST', f'{API}/uploads', begun).json()['id']}"
    handed, offset, resumed_at, idle_mib = 0, 0, 0, house.idle_mib
    while offset < wav.size:
        end = min(offset + piece, wav.size)
        if not resumed_at and end > kill_at:
            handed += broken(house, at, wav, offset, end, kill_at)
            house.start()
            offset = resumed_at = int(house.ask("HEAD", at).headers["upload-offset"])
            continue
        handed += end - offset
        offset = whole(house, at, wav, offset, end)
    meeting = house.ask("POST", f"{at}/meeting").json()
    again = house.ask("POST", f"{at}/meeting").json()
    assert again["id"] == meeting["id"], "asked again, it is the same meeting"
    assert fetched(house, f"{API}/meetings/{meeting['id']}/sound") == promised, "what was kept is what was sent"
    house.end(signal.SIGTERM)
    return {
        "piece_mib": round(piece / MIB, 1),
        "bytes": wav.size,
        "killed_at": kill_at,
        "resumed_at": resumed_at,
        "sent_twice_bytes": handed - wav.size,
        "gateway_idle_mib": round(idle_mib, 1),
        "gateway_peak_mib": [round(each, 1) for each in house.peaks_mib],
        "gateway_cpu_s": round(house.cpu_s, 2),
        "sha256": "ok",
    }


def opened(house: Gateway, at: str, offset: int, end: int) -> http.client.HTTPConnection:
    line = http.client.HTTPConnection("127.0.0.1", house.port, timeout=120)
    line.putrequest("PATCH", at)
    line.putheader("content-type", "application/offset+octet-stream")
    line.putheader("content-length", str(end - offset))
    line.putheader("upload-offset", str(offset))
    line.endheaders()
    return line


def whole(house: Gateway, at: str, wav: Wav, offset: int, end: int) -> int:
    """One piece to its end; where the upload stands then."""
    line = opened(house, at, offset, end)
    for start in range(offset, end, MIB):
        line.send(wav.part(start, min(start + MIB, end)))
    answer = line.getresponse()
    assert answer.status == 204, (answer.status, answer.read()[:500])
    stands = int(answer.headers["upload-offset"])
    line.close()
    return stands


def broken(house: Gateway, at: str, wav: Wav, offset: int, end: int, kill_at: int) -> int:
    """A piece up to where the house dies, with the line still open; how much of it was handed to the line."""
    line = opened(house, at, offset, end)
    for start in range(offset, kill_at, _STROKE):
        line.send(wav.part(start, min(start + _STROKE, kill_at)))
    house.end(signal.SIGKILL)
    line.close()
    return kill_at - offset


def fetched(house: Gateway, path: str) -> str:
    """The sha256 of what a player would be given."""
    line = http.client.HTTPConnection("127.0.0.1", house.port, timeout=120)
    line.request("GET", path)
    answer = line.getresponse()
    assert answer.status == 200, (answer.status, answer.read()[:500])
    digest = hashlib.sha256()
    while data := answer.read(MIB):
        digest.update(data)
    line.close()
    return digest.hexdigest()


if __name__ == "__main__":
    main()
