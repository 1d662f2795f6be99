"""The list of files is asked for once, in any number of pages, and damaged ones again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
from hub_server import COMMIT, HubServer

from lmlab.data.hub.address import Address
from lmlab.data.hub.listing import remembered_listing
from lmlab.data.hub.plain_client import PlainClient

FILES = {f"data/{n}.txt": b"%d" % n for n in range(7)} | {"data/../../x": b"", "/etc/x": b""}


@pytest.fixture
def server() -> Iterator[HubServer]:
    with hub_server.running("a/b", FILES) as running:
        yield running


def test_files_outside_the_repository_are_left_out(server: HubServer, tmp_path: Path) -> None:
    client = PlainClient(Address("a/b", server.url), tmp_path)
    found = remembered_listing(client, "main", "", tmp_path)
    assert found.files is not None and found.commit == COMMIT
    assert [file.path for file in found.files] == [f"data/{n}.txt" for n in range(7)]
    assert [file.size for file in found.files] == [1] * 7


def test_the_server_is_asked_once_per_revision_and_folder(
    server: HubServer, tmp_path: Path
) -> None:
    client = PlainClient(Address("a/b", server.url), tmp_path)
    first = remembered_listing(client, "main", "data", tmp_path)
    asked = len(server.asked)
    again = remembered_listing(client, "main", "data", tmp_path)
    assert (again.commit, again.files, again.is_new) == (first.commit, first.files, False)
    assert len(server.asked) == asked
    remembered_listing(client, COMMIT, "data", tmp_path)
    assert not any("/revision/" in one for one in server.asked[asked:]), "a commit is one already"
    first.memo.write_text(first.memo.read_text().replace("data/3", "data/4"))
    assert remembered_listing(client, "main", "data", tmp_path).files == first.files


def test_a_folder_that_is_not_there_is_not_remembered(server: HubServer, tmp_path: Path) -> None:
    client = PlainClient(Address("a/b", server.url), tmp_path)
    assert remembered_listing(client, "main", "none", tmp_path).files is None
    server.files["none/1.txt"] = b"1"
    found = remembered_listing(client, "main", "none", tmp_path).files
    assert found and found[0].path == "none/1.txt"
