"""The files of a repository at one commit, asked for once and then kept."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from lmlab.data.hub.address import Address
from lmlab.errors import DiskError
from lmlab.storage.io import hash_json, make_folder
from lmlab.storage.sealed import read_sealed, write_sealed

_VERSION = 1
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubFile(NamedTuple):
    """A file of a repository.

    Attributes:
        path: below the root of the repository, with slashes.
        size: bytes.
        sha256: of its content, where the server says it.
    """

    path: str
    size: int
    sha256: str | None


class HubClient(Protocol):
    """What asks a server for a repository and downloads its files."""

    address: Address

    def commit_of(self, revision: str) -> str:
        """Return the commit, 40 hexadecimal digits, of a branch or tag."""
        ...

    def files_below(self, commit: str, folder: str) -> list[HubFile] | None:
        """List the files below a folder, an empty text for all; None if there is no such folder."""
        ...

    def path_in_cache(self, commit: str, file: HubFile) -> Path | None:
        """Return where a file is that was downloaded before; None otherwise. Needs no network."""
        ...

    def download(self, commit: str, file: HubFile) -> Path:
        """Download a file, and return where it is."""
        ...

    @property
    def folder(self) -> Path:
        """Where downloads are kept."""
        ...


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files below a folder of a repository at one commit.

    Attributes:
        commit: 40 hexadecimal digits.
        files: by path; None if there is no such folder.
        memo: the file that keeps this; a later start asks the server again if it is removed.
        is_new: whether the server was asked now.
    """

    commit: str
    files: tuple[HubFile, ...] | None
    memo: Path
    is_new: bool = False


def remembered_listing(client: HubClient, revision: str, folder: str, cache_dir: Path) -> Listing:
    """Return the files below a folder; the server is asked at the first time alone.

    So a branch is pinned to the commit that it had then: later runs read the same text, and need no
    network.

    Args:
        client: asks the server.
        revision: a branch, a tag or a commit.
        folder: in the repository; empty for its root.
        cache_dir: the cache folder.

    Raises:
        DataError: the server cannot be reached, or refuses.
    """
    address = client.address
    asked = [_VERSION, address.endpoint, address.repo, revision, folder]
    name = f"listing-{hash_json(asked)[:16]}.json"
    memo = cache_dir / "downloads" / address.folder_name / name
    known = _read(memo)
    if known is not None:
        return known
    commit = revision if _COMMIT.fullmatch(revision) else client.commit_of(revision)
    found = client.files_below(commit, folder)
    if found is None:
        return Listing(commit, None, memo, is_new=True)
    files = tuple(sorted(file for file in found if _is_inside(file.path)))
    record = {
        "repo": address.repo, "revision": revision, "folder": folder, "commit": commit,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": [list(file) for file in files],
    }  # fmt: skip
    with contextlib.suppress(DiskError):  # a cache that cannot be written is asked again
        make_folder(memo.parent)
        write_sealed(memo, record)
    return Listing(commit, files, memo, is_new=True)


def _read(memo: Path) -> Listing | None:
    try:
        record: dict[str, Any] = read_sealed(memo)
        files = tuple(HubFile(*file) for file in record["files"])
        return Listing(record["commit"], files, memo)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_inside(path: str) -> bool:
    """Whether a path that the server gave stays below the root."""
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path
