"""What a server may answer that is no Hub, and downloads that are known."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest

from lmlab.data.hub.address import Address
from lmlab.data.hub.listing import HubFile
from lmlab.data.hub.plain_client import PlainClient
from lmlab.errors import DataError


class Page(http.server.BaseHTTPRequestHandler):
    """A web server that answers everything with its class's body."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"sha": 1}', b'[{"type": "file"}]'])
def test_another_server_is_told(
    body: bytes, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Page, "body", body)
    client = PlainClient(Address("a/b", web), tmp_path)
    with pytest.raises(DataError, match=r"does not answer as the Hub does\n.*HF_ENDPOINT"):
        client.commit_of("main")
    if body != b"[]":  # a folder without files
        with pytest.raises(DataError, match="does not answer as the Hub does"):
            client.files_below("0" * 40, "")


def test_offline_asks_nothing_and_takes_what_is_there(tmp_path: Path) -> None:
    with hub_server.running("a/b", {"x.txt": b"abc"}) as server:
        file = HubFile("x.txt", 3, None)
        online = PlainClient(Address("a/b", server.url), tmp_path)
        assert online.path_in_cache(server.commit, file) is None
        path = online.download(server.commit, file)
        asked = len(server.asked)
        offline = PlainClient(Address("a/b", server.url, offline=True), tmp_path)
        assert offline.path_in_cache(server.commit, file) == path
        for use in (
            lambda: offline.commit_of("main"),
            lambda: offline.files_below(server.commit, ""),
            lambda: offline.download(server.commit, HubFile("y.txt", 1, None)),
        ):
            with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
                use()
        assert len(server.asked) == asked
        path.write_bytes(b"abd")
        assert online.path_in_cache(server.commit, file) is None, "damaged"
