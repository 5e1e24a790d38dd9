"""A ModelScope on this machine: the part of its interface that a pull uses, with faults on request."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CHANGED = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass
class Scope:
    """What the server serves and what it saw."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    url: str = ""
    requests: list[tuple[str, dict[str, str], str | None]] = field(default_factory=list)
    """Path, what was asked, and the `Range`."""
    cuts: list[int] = field(default_factory=list)
    """Break the next downloads off after so many bytes each."""
    ranges: str = "200"
    """How a range is answered: with its part and this status, `ignored`, or `elsewhere`."""
    status: int | None = None
    """Answer everything with this."""
    says: bytes | None = None
    """Answer every question for files with this."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Fields of every listed file that are not true; None leaves one out."""
    corrupts: bool = False
    adds: bytes = b""
    """Sent behind every file."""
    elsewhere: str = ""
    """Send whoever wants a file to this address."""

    def ranges_asked(self) -> list[str | None]:
        """Of the downloads so far."""
        return [wanted for path, _, wanted in self.requests if path.endswith("/repo")]


@contextmanager
def serving(scope: Scope) -> Iterator[Scope]:
    """The hub on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            scope.requests.append((parts.path, asked, self.headers.get("Range")))
            if scope.status is not None:
                return self.send(scope.status, b"{}")
            for name, files in scope.repositories.items():
                about = f"/api/v1/models/{name}"
                if asked.get("Revision", "master") not in ("master", "v1", CHANGED):
                    return self.send(404, said(None, code=10010205001, message="no such revision"))
                if parts.path == about:
                    return self.send(200, said({"Name": name, "License": "apache-2.0"}))
                if parts.path == f"{about}/repo/files":
                    assert asked["Recursive"] == "true"
                    return self.send(200, listing(files, scope) if scope.says is None else scope.says)
                if parts.path == f"{about}/repo" and asked["FilePath"] in files:
                    if scope.elsewhere:
                        return self.send(302, b"", {"Location": scope.elsewhere})
                    return self.file(files[asked["FilePath"]])
            return self.send(404, said(None, code=10010205001, message="not found"))

        def file(self, content: bytes) -> None:
            sent = (bytes(len(content)) if scope.corrupts else content) + scope.adds
            wanted = self.headers.get("Range")
            if wanted is None or scope.ranges == "ignored":
                return self.send(200, sent)
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(sent):
                return self.send(416, b"")
            if scope.ranges == "elsewhere":
                first = 0
            facts = {"Content-Range": f"bytes {first}-{len(sent) - 1}/{len(sent)}"}
            return self.send(200 if scope.ranges == "elsewhere" else int(scope.ranges), sent[first:], facts)

        def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if scope.cuts and "/repo?" in self.path and len(content) > scope.cuts[0]:
                content = content[: scope.cuts.pop(0)]
                self.close_connection = True
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scope.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield scope
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(data: Any, *, code: int = 200, message: str = "success") -> bytes:
    """A reply as the hub wraps it."""
    wrapped = {"Code": code, "Data": data, "Message": message, "RequestId": "1", "Success": code == 200}
    return json.dumps(wrapped).encode()


def listing(files: dict[str, bytes], scope: Scope) -> bytes:
    """What the hub says of a repository: folders and files, every file with its SHA-256."""
    entries: list[dict[str, Any]] = []
    for folder in sorted({name.rpartition("/")[0] for name in files} - {""}):
        entries.append({"Path": folder, "Name": folder, "Type": "tree", "Size": 0, "Sha256": "", "IsLFS": False})
    for path, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        one = {
            "Path": path, "Name": path.rpartition("/")[2], "Type": "blob", "Size": len(content), "Sha256": digest,
            "IsLFS": path.endswith(".gguf"), "Mode": "33188", "Revision": CHANGED, "InCheck": False,
            "CommittedDate": 1_745_800_000, "CommitMessage": "", **scope.changes,
        }  # fmt: skip
        entries.append({key: value for key, value in one.items() if value is not None})
    return said({"Files": entries, "IsVisual": 0, "LatestCommitter": None})
