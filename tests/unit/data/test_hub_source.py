"""Public sets from a local server that answers as the Hub: with huggingface_hub and without."""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hub_server
import pytest
from hub_server import COMMIT, HubServer
from record_files import parquet_by_pyarrow

from lmlab.data import hub_source
from lmlab.data.corpus import Corpus
from lmlab.data.hub_source import HubText
from lmlab.data.mixture import Mixture
from lmlab.data.sources import TextFiles
from lmlab.errors import ConfigError, DataError, DiskError

REPO = "someone/stories"
WORDS = [f"word{n}" for n in range(3000)]


def documents(shard: int, number: int = 300) -> list[str]:
    """Texts that do not compress well, so that files are large."""
    chance = random.Random(shard)
    return [" ".join(chance.choices(WORDS, k=12)) for _ in range(number)]


@pytest.fixture(scope="module")
def shards() -> list[bytes]:
    return [parquet_by_pyarrow(documents(shard)) for shard in range(3)]


@pytest.fixture
def server(shards: list[bytes]) -> Iterator[HubServer]:
    files = {f"sample/10BT/{n:03}_00000.parquet": data for n, data in enumerate(shards)}
    small = parquet_by_pyarrow(documents(9, 5))
    files |= {
        "data/train-00000-of-00001.parquet": shards[0],
        "data/validation-00000-of-00001.parquet": small, "README.md": b"# Stories\n",
    }  # fmt: skip
    with hub_server.running(REPO, files) as running:
        yield running


def package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hf"))


def no_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def missing(*_: object) -> None:
        raise ImportError

    monkeypatch.setattr(hub_source, "PackageClient", missing)


@pytest.fixture(params=[package, no_package], ids=["huggingface_hub", "plain"])
def client(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    server: HubServer,
) -> str:  # fmt: skip
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("lmlab.data.download.time", SimpleNamespace(sleep=lambda seconds: None))
    request.param(monkeypatch, tmp_path)
    return str(request.param.__name__)


def source(folder: Path, **options: Any) -> HubText:
    options = {"repo": REPO, "files": "sample/10BT/*.parquet", "valid_fraction": 0.1, **options}
    return HubText(folder / "cache", **options)


def contents(corpus: Corpus, split: str = "train") -> list[bytes]:
    return [path.read_bytes() for path in corpus.splits[split].text.paths]


def test_shards_are_downloaded_once_and_held_out_by_hash(
    client: str, server: HubServer, shards: list[bytes], tmp_path: Path
) -> None:
    corpus = source(tmp_path, shards=2).prepare()
    assert contents(corpus) == shards[:2], "the bytes of the server, in natural order"
    assert corpus.name == "stories"
    asked = len(server.asked)
    again = source(tmp_path, shards=2).prepare()
    assert len(server.asked) == asked, "no request at all for what is there"
    assert (again.train_hash, again.valid_hash) == (corpus.train_hash, corpus.valid_hash)
    more = source(tmp_path, shards=[0, 2]).prepare()
    assert contents(more) == [shards[0], shards[2]]
    assert len(server.downloads()) == 3, "only the missing shard"


def test_the_identity_is_that_of_the_documents(
    client: str, shards: list[bytes], tmp_path: Path
) -> None:
    corpus = source(tmp_path, shards=1).prepare()
    (tmp_path / "own.parquet").write_bytes(shards[0])
    own = TextFiles(tmp_path, train=str(tmp_path / "own.parquet"), valid_fraction=0.1).prepare()
    assert (corpus.train_hash, corpus.valid_hash) == (own.train_hash, own.valid_hash)


def test_a_split_of_the_repository_is_the_validation_text(
    client: str, server: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    corpus = source(tmp_path, files="data/*.parquet").prepare()
    assert contents(corpus, "valid") == [server.files["data/validation-00000-of-00001.parquet"]]
    assert "validation text: the split validation of the repository" in caplog.text
    named = source(
        tmp_path, files="sample/**/*.parquet", valid_files="data/validation-*", shards=1
    ).prepare()
    assert contents(named, "valid") == contents(corpus, "valid")


def test_the_commit_is_pinned_and_recorded(
    client: str, server: HubServer, shards: list[bytes], tmp_path: Path
) -> None:
    corpus = source(tmp_path, shards=1).prepare()
    assert corpus.origin == {
        "repo": REPO, "revision": "main", "commit": COMMIT,
        "train": ["sample/10BT/000_00000.parquet"], "valid": [],
    }  # fmt: skip
    server.commit = "f" * 40
    server.files["sample/10BT/000_00000.parquet"] = shards[2]
    assert contents(source(tmp_path, shards=1).prepare()) == shards[:1], "main stays pinned"
    moved = source(tmp_path, shards=1, revision="f" * 40).prepare()
    assert contents(moved) == [shards[2]]


def test_a_mixture_records_the_commits_of_its_sources(
    client: str, shards: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "own.parquet").write_bytes(shards[2])
    sources = {
        "web": {
            "_target_": "lmlab.data.hub_source.HubText", "repo": REPO, "valid_fraction": 0.1,
            "files": "sample/10BT/*.parquet", "shards": 1,
        },
        "own": {
            "_target_": "lmlab.data.sources.TextFiles", "valid_fraction": 0.1,
            "train": str(tmp_path / "own.parquet"),
        },
    }  # fmt: skip
    mixture = Mixture(tmp_path / "cache", sources=sources, weights={"web": 1.0, "own": 2.0})
    origin = mixture.prepare().origin
    assert origin and list(origin) == ["web"] and origin["web"]["commit"] == COMMIT


def test_without_network_files_that_are_there_are_used(
    client: str, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = source(tmp_path, shards=1).prepare()
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        # The list of files is remembered by server.
        server.status = 503
        assert source(tmp_path, shards=1).prepare().train_hash == first.train_hash
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DataError, match=r"data\.repo=.*: cannot reach http.*\n.*HF_ENDPOINT"):
            source(tmp_path).check()


def test_a_lost_connection_is_resumed(
    client: str, server: HubServer, shards: list[bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    if client == "package":  # which resumes at the last full piece, by default of 10 MB
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1_000)
    server.cut_after = [4_000]
    assert contents(source(tmp_path, shards=1).prepare()) == shards[:1]
    assert [one.partition(" bytes=")[2] for one in server.downloads()] == ["", "4000-"]


def test_a_later_start_resumes_a_plain_download(
    server: HubServer, shards: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    no_package(monkeypatch, tmp_path)
    taken = source(tmp_path, shards=1)
    with monkeypatch.context() as patch:
        patch.setattr("lmlab.data.download._CHUNK_BYTES", 1000)
        patch.setattr("lmlab.data.download.progress", interrupting(after=6))
        with pytest.raises(KeyboardInterrupt):
            taken.prepare()
    assert contents(source(tmp_path, shards=1).prepare()) == shards[:1]
    (resumed,) = [one for one in server.downloads() if "bytes=" in one]
    assert resumed.endswith(" bytes=6000-")


def interrupting(after: int) -> Any:
    """A bar in whose ``update`` the user presses Ctrl-C."""

    class Bar:
        count = 0

        def __init__(self, **_: object) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, _: int) -> None:
            Bar.count += 1
            if Bar.count == after:
                raise KeyboardInterrupt

    return Bar


def test_other_content_than_the_list_says_is_refused(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    no_package(monkeypatch, tmp_path)
    taken = source(tmp_path, shards=1)
    taken.check()
    server.files["sample/10BT/000_00000.parquet"] = parquet_by_pyarrow(documents(7))
    with pytest.raises(DataError, match="expected SHA-256"):
        taken.prepare()


def test_a_gated_repository_needs_a_token_which_stays_at_the_hub(
    client: str, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.needs_token = True
    with pytest.raises(DataError, match=rf"{REPO}: .*gated\n.*terms at .*{REPO} and set HF_TOKEN"):
        source(tmp_path, shards=1).prepare()
    monkeypatch.setenv("HF_TOKEN", "secret")
    source(tmp_path, shards=1).prepare()
    assert "Bearer secret" in server.tokens["hub"]
    assert server.tokens["content"] == [None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repo": "someone/storys"}, r"data\.repo=someone/storys: .* no such public dataset"),
        ({"revision": "mian"}, r"data\.revision=mian: someone/stories has no such branch"),
        ({"files": "sample/10B/*.parquet"},
         r"10B/\*\.parquet: no such file; there are .*sample/10BT/\*\.parquet \(3\).*\n"
         r'.*did you mean "sample/10BT/\*\.parquet"'),
        ({"files": "sample/10BT/*.jsonl"}, r"no such file; there are .*10BT/\*\.parquet \(3\)"),
        ({"files": "*.parquet"}, r"files=\*\.parquet: no such file; there are sample/10BT/\*\."),
        ({"valid_files": "data/vaild-*"}, r"data\.valid_files=data/vaild-\*: no such file"),
        ({"shards": 4}, r"data\.shards=4: expected 1 to 3, or a list of numbers from 0 to 2"),
        ({"shards": [3]}, r"data\.shards=\[3\]: expected 1 to 3"),
        ({"files": "data/validation-*"}, r"all that match are validation files"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_is(
    client: str, server: HubServer, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        source(tmp_path, **options).check()
    assert not server.downloads()


def test_a_server_error_is_told(client: str, server: HubServer, tmp_path: Path) -> None:
    server.status = 500
    with pytest.raises(DataError, match=r"127\.0\.0\.1:\d+ answered with HTTP 500"):
        source(tmp_path).check()


@pytest.mark.parametrize(
    ("options", "key"),
    [({"repo": "stories"}, "repo"), ({"shards": 0}, "shards"), ({"shards": []}, "shards"),
     ({"shards": [1, 1]}, "shards"), ({"shards": [-1]}, "shards"), ({"files": []}, "files"),
     ({"revision": ""}, "revision"), ({"valid_fraction": 1.0}, "valid_fraction")],
)  # fmt: skip
def test_settings_are_checked_without_network(
    options: dict[str, Any], key: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{key}="):
        source(tmp_path, **options).check()


def test_a_disk_that_is_too_small_is_told_before_the_download(
    client: str, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(hub_source.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskError, match=r"data\.shards: the files need .* 1 kB left"):
        source(tmp_path).prepare()
    assert not server.downloads()
