"""Text of a public dataset repository: the target of ``data=hub`` and of sets by name."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lmlab.console.formatting import format_bytes, format_count
from lmlab.data.corpus import Corpus
from lmlab.data.hub.address import Address
from lmlab.data.hub.listing import HubClient, HubFile, Listing, remembered_listing
from lmlab.data.hub.package_client import PackageClient
from lmlab.data.hub.plain_client import PlainClient
from lmlab.data.hub.selection import Selected, folder_of, matches, select
from lmlab.data.sources import TextFiles
from lmlab.errors import Check, DiskError, check_settings

log = logging.getLogger(__name__)

_REPO = re.compile(r"[\w.-]+/[\w.-]+")


class HubText:
    """Files of a dataset repository on the Hugging Face Hub, downloaded once.

    They are read as those of :class:`~lmlab.data.sources.TextFiles`. With huggingface_hub
    installed, downloads are in its cache, which other programs share; otherwise in lmlab's. Files
    that are in either need no network. A branch is pinned to the commit that it has at the first
    start.

    Args:
        cache_dir: where the list of files and, without huggingface_hub, the files are kept.
        repo: ``OWNER/NAME``.
        files: pattern of the training files, such as ``data/*.parquet``, or a list; ``**/`` stands
            for any folders.
        valid_files: the same of the validation files; None takes those whose names say it, and
            holds out a part of the training text if there are none.
        revision: a branch, a tag or a commit.
        shards: how many of the training files are read, from the first; or a list of their numbers,
            counted from 0; None for all.
        valid_fraction: of the documents, about that many are held out if there are no validation
            files.
        column: the column of records that holds the text, with dots between nested names.
        documents: what a document of plain text is; see :class:`~lmlab.data.sources.TextFiles`.
        tokens: at most so many training tokens are read, the first ones; None for all.
        near_duplicates: whether near duplicates are counted; see there.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        repo: str,
        files: str | list[str] = "**/*.parquet",
        valid_files: str | list[str] | None = None,
        revision: str = "main",
        shards: int | list[int] | None = None,
        valid_fraction: float = 0.01,
        column: str = "text",
        documents: Literal["marker", "blank_line", "line", "file"] = "marker",
        tokens: float | None = None,
        near_duplicates: float | None = None,
    ) -> None:
        self.cache_dir, self.repo, self.revision = Path(cache_dir), repo, revision
        self.files, self.valid_files = _listed(files), _listed(valid_files)
        self.shards = shards
        self._rules: dict[str, Any] = {
            "valid_fraction": valid_fraction, "column": column, "documents": documents,
            "tokens": tokens,
            "near_duplicates": near_duplicates,
        }  # fmt: skip

    def check(self) -> None:
        """Check the settings, and that the repository has these files.

        The server is asked at the first time alone.

        Raises:
            ConfigError: a setting is not valid.
            DataError: there is no such repository, revision or file, or no network to ask.
        """
        self._check_settings()
        self._select(self._client())

    def _check_settings(self) -> None:
        numbers = [self.shards] if isinstance(self.shards, int) else self.shards
        least = 1 if isinstance(self.shards, int) else 0
        checks = [
            Check("data.repo", self.repo, _REPO.fullmatch(self.repo) is not None, "OWNER/NAME"),
            Check("data.revision", self.revision, bool(self.revision), "a branch, tag or commit"),
            Check("data.files", self.files, bool(self.files) and all(self.files), "a pattern"),
            Check("data.shards", self.shards,
                  numbers is None or (bool(numbers) and min(numbers) >= least
                                      and len(set(numbers)) == len(numbers)),
                  "1 or more, a list of different numbers from 0, or null"),
        ]  # fmt: skip
        check_settings(checks)
        self._text([Path()], []).check_settings()

    def prepare(self) -> Corpus:
        """Download missing files, read the text once, and return both splits.

        Raises:
            DataError: the server refuses or cannot be reached, or a text cannot be read.
            DiskError: the disk is full or not writable.
        """
        self._check_settings()
        client = self._client()
        listing, selected = self._select(client)
        train, valid = self._fetch(client, listing.commit, selected)
        corpus = self._text(train, valid).prepare()
        corpus.name = self.repo.rpartition("/")[2]
        corpus.origin = {
            "repo": self.repo, "revision": self.revision, "commit": listing.commit,
            "train": [file.path for file in selected.train],
            "valid": [file.path for file in selected.valid],
        }  # fmt: skip
        return corpus

    def _client(self) -> HubClient:
        address = Address.from_environment(self.repo)
        try:
            return PackageClient(address)
        except ImportError:
            return PlainClient(address, self.cache_dir)

    def _select(self, client: HubClient) -> tuple[Listing, Selected]:
        patterns = [*self.files, *self.valid_files]
        folder = folder_of(patterns)
        listing = remembered_listing(client, self.revision, folder, self.cache_dir)
        if listing.is_new and listing.files is not None:
            log.info(
                "data.repo=%s: pinned to commit %s of %s; to ask again, remove %s",
                self.repo, listing.commit[:10], self.revision, listing.memo,
            )  # fmt: skip
        files = listing.files or ()
        if (
            listing.is_new
            and folder
            and not all(any(matches(pattern, file.path) for file in files) for pattern in patterns)
        ):  # what other folders hold helps to find the right name
            files = tuple(client.files_below(listing.commit, "") or ())
        return listing, select(files, self.files, self.valid_files, self.shards)

    def _fetch(
        self, client: HubClient, commit: str, selected: Selected
    ) -> tuple[list[Path], list[Path]]:
        files = [*selected.train, *selected.valid]
        own = PlainClient(client.address, self.cache_dir)  # of an earlier start without the package
        paths = {
            file: client.path_in_cache(commit, file) or own.path_in_cache(commit, file)
            for file in files
        }
        missing = [file for file in files if paths[file] is None]
        log.info(
            "data.repo=%s: %s for training, %s; %s of %s to download; validation text: %s",
            self.repo, format_count(len(selected.train), "file"),
            f"{len(selected.valid)} for validation", format_count(len(missing), "file"),
            format_bytes(_size(missing)), selected.how,
        )  # fmt: skip
        _check_space(client.folder, missing)
        for file in missing:
            paths[file] = client.download(commit, file)
        found = {file: path for file, path in paths.items() if path is not None}
        return [found[file] for file in selected.train], [found[file] for file in selected.valid]

    def _text(self, train: Sequence[Path], valid: Sequence[Path]) -> TextFiles:
        return TextFiles(
            self.cache_dir, train=list(map(str, train)), valid=list(map(str, valid)) or None,
            **self._rules,
        )  # fmt: skip


def _listed(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _size(files: Sequence[HubFile]) -> int:
    return sum(file.size for file in files)


def _check_space(folder: Path, missing: Sequence[HubFile]) -> None:
    """Raise :class:`DiskError` before a download that the disk cannot hold."""
    existing = next((one for one in (folder, *folder.parents) if one.is_dir()), None)
    if not missing or existing is None:
        return
    free = shutil.disk_usage(existing).free
    if _size(missing) > free:
        raise DiskError(
            f"data.shards: the files need {format_bytes(_size(missing))}, and {existing} has "
            f"{format_bytes(free)} left",
            "read fewer of them with data.shards, or free some space",
        )
