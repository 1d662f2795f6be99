"""huggingface_hub is used as it is: its requests, its cache, its errors, lmlab's progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
from hub_server import COMMIT, LARGE, HubServer

from lmlab.data.hub.address import Address
from lmlab.data.hub.listing import HubFile
from lmlab.data.hub.plain_client import PlainClient
from lmlab.errors import DataError

constants = pytest.importorskip("huggingface_hub.constants")
FILES = {"a.txt": b"small", "data/b.bin": bytes(range(250)) * (LARGE // 100), "data/c.txt": b"c"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    with hub_server.running("a/b", FILES) as running:
        yield running


def client_of(server: HubServer, **options: bool):
    from lmlab.data.hub.package_client import PackageClient

    return PackageClient(Address("a/b", server.url, **options))


def test_both_clients_find_and_download_the_same(server: HubServer, tmp_path: Path) -> None:
    package, plain = client_of(server), PlainClient(Address("a/b", server.url), tmp_path)
    assert package.commit_of("main") == plain.commit_of("main") == COMMIT
    for folder in ("", "data"):
        files = package.files_below(COMMIT, folder)
        assert files and sorted(files) == sorted(plain.files_below(COMMIT, folder) or ())
    assert package.files_below(COMMIT, "x") is None and plain.files_below(COMMIT, "x") is None
    for file in package.files_below(COMMIT, "") or ():
        assert package.path_in_cache(COMMIT, file) is None
        path = package.download(COMMIT, file)
        assert path.read_bytes() == plain.download(COMMIT, file).read_bytes() == FILES[file.path]
        assert package.path_in_cache(COMMIT, file) == path
        assert path.is_relative_to(package.folder) and not path.is_relative_to(plain.folder)


def test_progress_is_that_of_lmlab(
    server: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmlab.console.progress_lines.FIRST_SECONDS", 0.0)
    (file,) = [file for file in client_of(server).files_below(COMMIT, "") or () if file.sha256]
    client_of(server).download(COMMIT, file)
    assert "downloading" in capsys.readouterr().err


def test_a_file_that_the_list_alone_has_is_told(server: HubServer) -> None:
    with pytest.raises(DataError, match=r"data\.repo=a/b: .* no such public dataset"):
        client_of(server).download(COMMIT, HubFile("gone.txt", 1, None))


def test_an_unreachable_server_is_told(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(server)
    server.status = 503
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(DataError, match="answered with HTTP 503"):
        client.download(COMMIT, HubFile("a.txt", 5, None))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"data\.repo=a/b: not in the cache, and HF_HUB_OFFLINE"):
        client_of(server, offline=True).commit_of("main")
