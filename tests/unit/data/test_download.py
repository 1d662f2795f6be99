"""Downloads from a local HTTP server."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmlab.data.download import fetch
from lmlab.data.sources import Downloaded
from lmlab.errors import ConfigError, DataError

CONTENT = random.Random(0).randbytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; each number in ``cut_after`` ends one connection after that many bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data.txt": CONTENT}
        self.cut_after: list[int] = []
        self.ranges = True
        self.tells_length = True
        self.etag: str | None = '"one"'
        self.asked: list[str | None] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path not in server.files or server.status != 200:
            self.send_error(404 if server.status == 200 else server.status)
            return
        content, start = server.files[self.path], 0
        same = self.headers.get("If-Range") in (None, server.etag)
        if self.headers.get("Range") and server.ranges and same:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.tells_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = server.cut_after.pop(0) if server.cut_after else len(content)
        self.wfile.write(content[start : start + end])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not time.sleep itself, with which those who wait for a lock would take all of the processor.
    monkeypatch.setattr("lmlab.data.download.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("lmlab.data.download._CHUNK_BYTES", 10_000)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_downloaded_file_is_complete_and_its_hash_recorded(
    server: Server, tmp_path: Path
) -> None:
    target = fetch(f"{server.url}/data.txt", tmp_path / "d" / "data.txt")
    assert target.read_bytes() == CONTENT
    record = json.loads((tmp_path / "d" / "data.txt.json").read_text())
    assert record["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert record["bytes"] == len(CONTENT)
    assert names(tmp_path / "d") == {"data.txt", "data.txt.json"}
    fetch(f"{server.url}/data.txt", target)
    assert server.asked == [None], "it is fetched once"


def test_an_interrupted_download_resumes_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = [70_000, 90_000]
    target = fetch(f"{server.url}/data.txt", tmp_path / "data.txt")
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=70000-", "bytes=160000-"]


def test_a_later_run_resumes_the_download(server: Server, tmp_path: Path) -> None:
    server.cut_after = [20_000] * 5
    with pytest.raises(DataError, match="rerun to resume"):
        fetch(f"{server.url}/data.txt", tmp_path / "data.txt")
    assert not (tmp_path / "data.txt").exists()
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"


def test_without_range_support_the_download_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut_after = [70_000]
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=70000-"]


def test_a_response_without_length_is_accepted(server: Server, tmp_path: Path) -> None:
    server.tells_length = False
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [{"data.txt.part"}, {"data.txt.part", "data.txt.part.json"}])
def test_a_partial_file_of_unknown_origin_is_not_used(
    server: Server, tmp_path: Path, left: set[str]
) -> None:
    (tmp_path / "data.txt.part").write_bytes(b"x" * 1000)
    if len(left) == 2:  # of another address
        state = {"url": "http://other/data.txt", "total": len(CONTENT), "validator": None}
        (tmp_path / "data.txt.part.json").write_text(json.dumps(state))
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt").read_bytes() == CONTENT
    assert server.asked[-1] is None
    assert len(server.asked) == len(left), "without a note beside it no part is asked for"


def test_a_partial_file_of_full_length_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.cut_after = [20_000] * 5
    with pytest.raises(DataError):
        fetch(f"{server.url}/data.txt", tmp_path / "data.txt")
    (tmp_path / "data.txt.part").write_bytes(b"x" * len(CONTENT))
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("etag", "size"), [('"two"', 250_000), ('"two"', 300_000), (None, 250_000)]
)
def test_content_that_changed_on_the_server_is_not_mixed(
    server: Server, tmp_path: Path, etag: str | None, size: int
) -> None:
    server.etag = None if etag is None else server.etag
    server.cut_after = [20_000] * 5
    with pytest.raises(DataError):
        fetch(f"{server.url}/data.txt", tmp_path / "data.txt")
    changed = random.Random(1).randbytes(size)
    server.files["/data.txt"], server.etag = changed, etag
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt").read_bytes() == changed


def test_a_404_is_reported_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none\.txt: cannot download \(.*404.*\)\n.*data=toystories"
    ):
        fetch(f"{server.url}/none.txt", tmp_path / "none.txt")
    assert len(server.asked) == 1
    assert not (tmp_path / "none.txt").exists()


def test_a_server_error_is_retried(server: Server, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(DataError, match="503"):
        fetch(f"{server.url}/data.txt", tmp_path / "data.txt")
    assert len(server.asked) == 5


def test_another_hash_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected SHA-256 00"):
        fetch(f"{server.url}/data.txt", tmp_path / "data.txt", sha256="00")
    assert names(tmp_path) <= {"data.txt.part.json"}
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(f"{server.url}/data.txt", tmp_path / "data.txt", sha256=digest).exists()


def test_without_network_the_message_lists_alternatives(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/data.txt"
        with pytest.raises(DataError, match=r"refused.*\n.*data=toystories.*data=text"):
            fetch(url, tmp_path / "data.txt")
    assert names(tmp_path) == set()


def test_a_gzip_file_is_unpacked(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    server.files["/data.txt.gz"] = packed
    target = fetch(f"{server.url}/data.txt.gz", tmp_path / "data.txt")
    assert target.read_bytes() == CONTENT
    record = json.loads((tmp_path / "data.txt.json").read_text())
    assert record["sha256"] == hashlib.sha256(packed).hexdigest()
    assert names(tmp_path) == {"data.txt", "data.txt.json"}


def test_a_damaged_gzip_file_is_refused(server: Server, tmp_path: Path) -> None:
    sound = gzip.compress(CONTENT)
    for unsound in (sound[:-50_000], sound[:10] + b"\xff" + sound[11:], sound[:-6] + bytes(6)):
        server.files["/data.txt.gz"] = unsound
        with pytest.raises(DataError, match="expected a gzip file"):
            fetch(f"{server.url}/data.txt.gz", tmp_path / "data.txt")
        assert names(tmp_path) <= {"data.txt.part.json"}
    server.files["/data.txt.gz"] = sound
    assert fetch(f"{server.url}/data.txt.gz", tmp_path / "data.txt").read_bytes() == CONTENT


def test_a_gzip_target_stays_packed(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    server.files["/data.txt.gz"] = packed
    assert fetch(f"{server.url}/data.txt.gz", tmp_path / "data.txt.gz").read_bytes() == packed


def source(server: Server, folder: Path, **changes: str) -> Downloaded:
    options = {
        "name": "web",
        "base_url": server.url,
        "train": "train.txt.gz",
        "valid": "valid.txt",
    }
    return Downloaded(folder, **options | changes)


def test_a_corpus_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    server.files = {"/train.txt.gz": gzip.compress("é a b".encode()), "/valid.txt": b"c d"}
    corpus = source(server, tmp_path).prepare()
    assert corpus.train.paths[0].read_text("utf-8") == "é a b"
    assert corpus.valid.paths[0].read_text("utf-8") == "c d"
    assert corpus.name == "web"
    source(server, tmp_path).prepare()
    assert len(server.asked) == 2


def test_a_corpus_with_another_hash_or_malformed_text_is_refused(
    server: Server, tmp_path: Path
) -> None:
    server.files = {"/train.txt.gz": gzip.compress(b"a"), "/valid.txt": b"abc\xff"}
    with pytest.raises(DataError, match=r"train\.txt\.gz: expected SHA-256 00"):
        source(server, tmp_path, train_sha256="00").prepare()
    with pytest.raises(
        DataError, match=r"valid\.txt: expected UTF-8 text, malformed at byte offset 3"
    ):
        source(server, tmp_path).prepare()


def test_base_url_must_be_http(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.base_url=ftp://x"):
        source(server, tmp_path, base_url="ftp://x").check()
    for same in ("valid.txt", "valid.txt.gz"):  # both are kept as valid.txt
        with pytest.raises(
            ConfigError, match=r"data\.valid=valid\.txt: expected a file other than data\.train"
        ):
            source(server, tmp_path, train=same).check()


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_download_is_downloaded_again(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, packed: bool
) -> None:
    server.files["/data.txt.gz"] = gzip.compress(CONTENT)
    url, target = f"{server.url}/data.txt{'.gz' * packed}", tmp_path / "data.txt"
    record = tmp_path / "data.txt.json"
    fetch(url, target)
    described = record.read_text()
    for path, content in (
        (target, bytes(len(CONTENT))), (target, CONTENT[:-1]), (target, flip(CONTENT)),
        (record, described.encode()[:-9]), (record, described.replace('"bytes"', '"b"').encode()),
    ):  # fmt: skip
        caplog.clear()
        times = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert fetch(url, target).read_bytes() == CONTENT
        assert len(caplog.records) == 1 and "downloading it again" in caplog.text
    assert len(server.asked) == 6


def test_another_address_or_expected_hash_is_downloaded_again(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder of a download has the name of its corpus, and not these settings."""
    server.files["/other/data.txt"] = other = flip(CONTENT)
    target = tmp_path / "data.txt"
    fetch(f"{server.url}/data.txt", target)
    assert fetch(f"{server.url}/other/data.txt", target).read_bytes() == other
    assert f"downloaded from {server.url}/data.txt; downloading it again" in caplog.text
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(f"{server.url}/data.txt", target, sha256=digest).read_bytes() == CONTENT
    asked = len(server.asked)
    assert fetch("http://mirror.invalid/data.txt", target, sha256=digest).read_bytes() == CONTENT
    assert len(server.asked) == asked, "the hash identifies it"


def test_records_without_checksum_are_accepted_and_completed(
    server: Server, tmp_path: Path
) -> None:
    """Of an earlier version, and the empty one of a file that the user put there."""
    url, target, record = f"{server.url}/data.txt", tmp_path / "a.txt", tmp_path / "a.txt.json"
    fetch(url, target)
    found = json.loads(record.read_text())
    record.write_text(json.dumps({key: found[key] for key in ("url", "bytes", "sha256")}))
    fetch(url, target)
    assert json.loads(record.read_text()) == found
    target.write_bytes(b"mine")
    for empty in ("", "{}"):
        record.write_text(empty)
        assert fetch(url, target).read_bytes() == b"mine"
    with pytest.raises(DataError, match=r"a\.txt: expected SHA-256 00, found"):
        fetch(url, target, sha256="00")
    mine = hashlib.sha256(b"mine").hexdigest()
    assert fetch(url, target, sha256=mine).read_bytes() == b"mine"
    assert len(server.asked) == 1


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/data.txt"
    threads = [threading.Thread(target=fetch, args=(url, tmp_path / "a.txt")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.txt").read_bytes() == CONTENT
    assert len(server.asked) == 1
