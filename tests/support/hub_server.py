"""A server with the part of the Hub's interface that clients of dataset repositories ask for.

Large files are redirected to a second server, as to a content network. What the real server answers
to huggingface_hub 2.4.0 was the model: the commit of a revision, pages of the tree with a ``Link``
header, and for files the headers ``X-Repo-Commit``, ``X-Linked-Size`` and ``X-Linked-Etag``.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 5_000  # bytes from which a file is kept on the second server


class HubServer(http.server.ThreadingHTTPServer):
    """Serves one repository.

    Attributes:
        files: content by path; change it to change the repository.
        commit: of the branch ``main``.
        asked: method and path of each request, with the range of bytes if there is one.
        tokens: the token of each request, by server: this one and the second.
        needs_token: whether files are gated.
        cut_after: each number ends one connection to the second server after that many bytes.
        status: another one than 200 is the answer to everything.
        page_size: entries of the tree per page.
    """

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo, self.files, self.commit = repo, dict(files), COMMIT
        self.asked: list[str] = []
        self.tokens: dict[str, list[str | None]] = {"hub": [], "content": []}
        self.needs_token = False
        self.cut_after: list[int] = []
        self.status, self.page_size = 200, 2
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.content = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _ContentHandler)
        self.content.hub = self  # type: ignore[attr-defined]

    @property
    def content_url(self) -> str:
        """Of the second server, whose host has another name."""
        return f"http://localhost:{self.content.server_address[1]}"

    def downloads(self) -> list[str]:
        """The requests for content."""
        return [one for one in self.asked if one.startswith("GET /blob/")]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server, parsed = self.server, urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(parsed.path)
        server.asked.append(f"{self.command} {path}")
        server.tokens["hub"].append(self.headers.get("Authorization"))
        api, pages = f"/api/datasets/{server.repo}", f"/datasets/{server.repo}/resolve/"
        if server.status != 200:
            self._refuse(server.status, None)
        elif path.startswith(f"{api}/revision/"):
            if path.rpartition("/")[2] in ("main", server.commit):
                self._send(json.dumps({"id": server.repo, "sha": server.commit}).encode())
            else:
                self._refuse(404, "RevisionNotFound")
        elif path.startswith(f"{api}/tree/{server.commit}"):
            folder = path.removeprefix(f"{api}/tree/{server.commit}").strip("/")
            self._tree(folder, urllib.parse.parse_qs(parsed.query))
        elif path.startswith(pages):
            commit, _, name = path.removeprefix(pages).partition("/")
            self._file(commit, name)
        else:
            self._refuse(401, "RepoNotFound")

    def _tree(self, folder: str, query: dict[str, list[str]]) -> None:
        server = self.server
        prefix = f"{folder}/" if folder else ""
        names = sorted(name for name in server.files if name.startswith(prefix))
        if not names:
            self._refuse(404, "EntryNotFound")
            return
        start = int(query.get("cursor", ["0"])[0])
        entries = [_entry(name, server.files[name]) for name in names]
        entries.insert(0, {"type": "directory", "path": "data", "oid": "0" * 40, "size": 0})
        headers = {}
        if start + server.page_size < len(entries):
            cursor = start + server.page_size
            place = self.path.partition("?")[0]
            link = f"{server.url}{place}?recursive=true&cursor={cursor}"
            headers["Link"] = f'<{link}>; rel="next"'
        page = entries[start : start + server.page_size]
        self._send(json.dumps(page).encode(), headers)

    def _file(self, commit: str, name: str) -> None:
        server = self.server
        if server.needs_token and self.headers.get("Authorization") != "Bearer secret":
            self._refuse(401, "GatedRepo")
        elif commit != server.commit or name not in server.files:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": server.commit})
        elif len(content := server.files[name]) < LARGE:
            self._send(content, {"ETag": f'"{_git_id(content)}"', "X-Repo-Commit": commit})
        else:
            digest = hashlib.sha256(content).hexdigest()
            location = f"{server.content_url}/blob/{digest}?signature=abc"
            self._send(
                b"", {
                    "Location": location, "X-Repo-Commit": commit, "X-Linked-Etag": f'"{digest}"',
                    "X-Linked-Size": str(len(content)),
                }, status=302,
            )  # fmt: skip

    def _refuse(self, status: int, code: str | None, more: dict[str, str] | None = None) -> None:
        self._send(b"{}", {"X-Error-Code": code or "Other", **(more or {})}, status)

    def _send(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class _ContentHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        hub.asked.append(f"GET {self.path.partition('?')[0]}{f' {asked}' if asked else ''}")
        hub.tokens["content"].append(self.headers.get("Authorization"))
        digest = self.path.removeprefix("/blob/").partition("?")[0]
        by_digest = {hashlib.sha256(one).hexdigest(): one for one in hub.files.values()}
        content = by_digest[digest]
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{digest}"')
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = hub.cut_after.pop(0) if hub.cut_after else len(content)
        self.wfile.write(content[start : start + end])

    def log_message(self, *arguments: object) -> None:
        pass


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file", "path": name, "oid": _git_id(content), "size": len(content),
    }  # fmt: skip
    if len(content) >= LARGE:
        oid = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
    return entry


@contextlib.contextmanager
def running(repo: str, files: dict[str, bytes]) -> Iterator[HubServer]:
    """Run both servers in threads."""
    server = HubServer(repo, files)
    threads = [
        threading.Thread(target=one.serve_forever, args=(0.01,)) for one in (server, server.content)
    ]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for one in (server, server.content):
            one.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
        server.content.server_close()
