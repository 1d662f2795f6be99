"""Repositories over plain HTTP, with lmlab's own downloads, which resume after any interruption.

Source of the addresses and headers: the documentation of the Hub's API, and what huggingface_hub
2.4.0 asks for.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.data.download import fetch, is_complete
from lmlab.data.hub.address import Address, refusal, unreachable
from lmlab.data.hub.listing import HubFile
from lmlab.errors import DataError

_TIMEOUT_SECONDS = 20.0
_NEXT_PAGE = re.compile(r'<([^>]+)>;\s*rel="next"')


class PlainClient:
    """Asks a server without huggingface_hub; see :class:`~lmlab.data.hub.listing.HubClient`.

    Args:
        address: of the repository.
        cache_dir: the cache folder, in which downloads are kept.
    """

    def __init__(self, address: Address, cache_dir: Path) -> None:
        self.address = address
        self.folder = cache_dir / "downloads" / address.folder_name

    def commit_of(self, revision: str) -> str:
        """Return the commit of a branch or tag.

        Raises:
            DataError: the server cannot be reached, or there is no such repository or revision.
        """
        answer, _ = self._ask(self.address.info_url(revision), revision)
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str):
            raise _unexpected(self.address)
        return commit

    def files_below(self, commit: str, folder: str) -> list[HubFile] | None:
        """List the files below a folder; None if there is no such folder.

        Raises:
            DataError: the server cannot be reached, or there is no such commit.
        """
        try:
            return [
                _file_of(entry, self.address)
                for page in self._pages(commit, folder)
                for entry in page
                if entry.get("type") == "file"
            ]
        except _NoSuchFolder:
            return None

    def _pages(self, commit: str, folder: str) -> Iterator[list[dict[str, Any]]]:
        url: str | None = self.address.tree_url(commit, folder)
        while url:
            page, url = self._ask(url, commit)
            if not isinstance(page, list):
                raise _unexpected(self.address)
            yield page

    def path_in_cache(self, commit: str, file: HubFile) -> Path | None:
        """Return where a file is that was downloaded before."""
        target = self._target(commit, file)
        url = self.address.file_url(commit, file.path)
        return target if is_complete(url, target, sha256=file.sha256) else None

    def download(self, commit: str, file: HubFile) -> Path:
        """Download a file; an interrupted download resumes, also in a later run.

        Raises:
            DataError: the server cannot be reached or refuses, or the content is another one.
            DiskError: the disk is full or not writable; the partial download is kept.
        """
        if self.address.offline:
            raise unreachable(self.address, "offline")
        url = self.address.file_url(commit, file.path)
        try:
            return fetch(
                url, self._target(commit, file), sha256=file.sha256, secret_headers=self._token()
            )
        except DataError as error:
            cause = error.__cause__
            if isinstance(cause, urllib.error.HTTPError) and cause.code in (401, 403, 404):
                code = cause.headers.get("X-Error-Code")
                raise refusal(self.address, commit, cause.code, code) from cause
            raise

    def _target(self, commit: str, file: HubFile) -> Path:
        return self.folder / commit / file.path

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.address.token}"} if self.address.token else {}

    def _ask(self, url: str, revision: str) -> tuple[Any, str | None]:
        """Return what the server answers, and the address of the next page if there is one."""
        if self.address.offline:
            raise unreachable(self.address, "offline")
        request = urllib.request.Request(url, headers={"User-Agent": "lmlab"})
        if url.startswith(f"{self.address.endpoint}/"):
            for name, value in self._token().items():
                request.add_unredirected_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                link = _NEXT_PAGE.search(response.headers.get("Link") or "")
                return json.load(response), link[1] if link else None
        except urllib.error.HTTPError as error:
            code = error.headers.get("X-Error-Code")
            if code == "EntryNotFound":
                raise _NoSuchFolder from error
            raise refusal(self.address, revision, error.code, code) from error
        except ValueError as error:
            raise _unexpected(self.address) from error
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.address, getattr(error, "reason", error)) from error


class _NoSuchFolder(Exception):
    """The repository has no such folder."""


def _file_of(entry: dict[str, Any], address: Address) -> HubFile:
    try:
        lfs = entry.get("lfs") or {}
        return HubFile(str(entry["path"]), int(entry["size"]), lfs.get("oid"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unexpected(address) from error


def _unexpected(address: Address) -> DataError:
    return DataError(
        f"data.repo={address.repo}: {address.endpoint} does not answer as the Hub does",
        "check HF_ENDPOINT",
    )
