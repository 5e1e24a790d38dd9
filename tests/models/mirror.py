"""A hub on this machine: the part of the Hugging Face hub's interface that a pull uses, with faults on request."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Mirror:
    """What the server serves and what it saw."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    url: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, and the `Range` asked for."""
    authorisations: list[str | None] = field(default_factory=list)
    cut_after: int | None = None
    """Break the next download off after this many bytes."""
    ignores_ranges: bool = False
    status: int | None = None
    """Answer everything with this."""
    error_code: str = ""
    """With `status`: the hub's own word for what is wrong."""
    corrupts: bool = False

    def downloads(self) -> list[str | None]:
        """The ranges of all downloads of weights so far."""
        return [wanted for method, path, wanted in self.requests if method == "GET" and "/resolve/" in path]


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """The mirror on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            mirror.requests.append((self.command, path, self.headers.get("Range")))
            mirror.authorisations.append(self.headers.get("Authorization"))
            if mirror.status is not None:
                return self.send(mirror.status, b"{}", body, {"X-Error-Code": mirror.error_code})
            for name, files in mirror.repositories.items():
                if path.startswith(f"/api/models/{name}"):
                    revision = path.removeprefix(f"/api/models/{name}").removeprefix("/revision/")
                    if revision in ("", "main", COMMIT):
                        return self.send(200, json.dumps(about(name, files)).encode(), body)
                    return self.send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
                if path.startswith(f"/{name}/resolve/{COMMIT}/"):
                    content = files.get(path.removeprefix(f"/{name}/resolve/{COMMIT}/"))
                    if content is not None:
                        return self.file(content, body)
            return self.send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})

        def file(self, content: bytes, body: bool) -> None:
            facts = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
            sent = bytes(len(content)) if mirror.corrupts else content
            wanted = self.headers.get("Range")
            if wanted and not mirror.ignores_ranges:
                first = int(wanted.removeprefix("bytes=").partition("-")[0])
                facts["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
                return self.send(206, sent[first:], body, facts)
            return self.send(200, sent, body, facts)

        def send(self, status: int, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if body and mirror.cut_after is not None and "/resolve/" in self.path and len(content) > mirror.cut_after:
                self.wfile.write(content[: mirror.cut_after])
                mirror.cut_after = None
                self.close_connection = True
            elif body:
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def about(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    """What the hub says of a repository: large files by SHA-256, small ones by git's hash."""
    siblings: list[dict[str, Any]] = []
    for file, content in files.items():
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        one: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": git}
        large = {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}}
        siblings.append(one | (large if file.endswith((".gguf", ".safetensors", ".bin")) else {}))
    return {
        "_id": "1", "id": name, "modelId": name, "sha": COMMIT, "private": False, "gated": False, "disabled": False,
        "tags": ["license:apache-2.0"], "downloads": 0, "likes": 0, "siblings": siblings,
        "cardData": {"license": "apache-2.0"},
    }  # fmt: skip
