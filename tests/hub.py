"""A Hub of our own on a free port: repositories out of folders, gated ones, wrong tokens, and what it was asked with.

It speaks as much of the Hub's protocol as a download and a small upload need. `hub_at` points the Hub client at it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_averysecrettoken"


@dataclass
class Hub:
    """`repositories` by id; `accepted` is the token that opens the gated ones; `status` answers everything if set.

    `made` says of the repositories that were created whether they are private, `uploaded` which files each received.
    """

    repositories: Mapping[str, Path] = field(default_factory=dict)
    gated: frozenset[str] = frozenset()
    accepted: str = TOKEN
    status: int = 0
    seen_tokens: set[str] = field(default_factory=set)
    made: dict[str, bool] = field(default_factory=dict)
    uploaded: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request."""
        self.seen_tokens.add(authorization.removeprefix("Bearer "))
        if self.status:
            return self.status, {}, b'{"error": "Invalid credentials in Authorization header"}'
        path = path.partition("?")[0].strip("/")
        is_api = path.startswith("api/models/")
        name, _, rest = path.removeprefix("api/models/").partition(
            "/revision/" if "/revision/" in path else "/tree/" if is_api else "/resolve/"
        )
        if name in self.made and is_api:
            return (
                200,
                {"Content-Type": "application/json"},
                _json({"id": name, "sha": COMMIT, "private": self.made[name]}),
            )
        folder = self.repositories.get(name)
        if folder is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if name in self.gated and authorization != f"Bearer {self.accepted}":
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        if is_api:
            return 200, {"Content-Type": "application/json"}, json.dumps(_described(name, folder, path)).encode()
        file = folder / rest.partition("/")[2]
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{_etag(file)}"'}, file.read_bytes()

    def take(self, path: str, authorization: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for what is sent: a new repository, the files of a commit, the commit."""
        self.seen_tokens.add(authorization.removeprefix("Bearer "))
        if self.status or authorization != f"Bearer {self.accepted}":
            return self.status or 403, {}, b"{}"
        path = path.partition("?")[0].strip("/")
        if path == "api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.made[name] = asked.get("visibility") == "private"
            return 200, {}, _json({"url": f"/{name}"})
        if path == "api/validate-yaml":
            return 200, {}, b"{}"
        name = path.removeprefix("api/models/").rpartition("/")[0].rpartition("/")[0]
        if "/preupload/" in path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return 200, {}, _json({"files": [{**file, "shouldIgnore": False} for file in files]})
        sent = [line["value"] for line in map(json.loads, body.splitlines()) if line["key"] == "file"]
        self.uploaded[name] = {file["path"]: base64.b64decode(file["content"]) for file in sent}
        return 200, {}, _json({"commitUrl": f"/{name}/commit/{COMMIT}", "commitOid": COMMIT, "success": True})


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def _described(name: str, folder: Path, path: str) -> object:
    files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    if "/tree/" in path:
        return [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _etag(file)} for file in files]
    return {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file.name} for file in files]}


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def hub_at(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the Hub client ask `hub` and keep what it downloads in `cache`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*hub.answer(self.path, self.headers.get("Authorization", "")))

        do_HEAD = do_GET

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._send(*hub.take(self.path, self.headers.get("Authorization", ""), body))

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
