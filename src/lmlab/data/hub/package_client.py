"""Repositories through huggingface_hub: its cache, which other programs share, and its tokens."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.console.progress_bar import progress
from lmlab.data.hub.address import Address, refusal, unreachable
from lmlab.data.hub.listing import HubFile
from lmlab.errors import DataError

_DATASET = "dataset"


class PackageClient:
    """Asks a server by huggingface_hub; see :class:`~lmlab.data.hub.listing.HubClient`.

    Files are kept where this package keeps them (``HF_HOME``). A connection that is lost is resumed
    by the package; a download that is interrupted begins this file again (huggingface_hub 2.4.0,
    tried 2026-11-30), while files that are complete stay.

    Args:
        address: of the repository.

    Raises:
        ImportError: the package is not installed.
    """

    def __init__(self, address: Address) -> None:
        from huggingface_hub import HfApi

        self.address = address
        self._api = HfApi(endpoint=address.endpoint)

    @property
    def folder(self) -> Path:
        """The cache of the package."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def commit_of(self, revision: str) -> str:
        """Return the commit of a branch or tag.

        Raises:
            DataError: the server cannot be reached, or there is no such repository or revision.
        """
        with self._translated(revision):
            found = self._api.dataset_info(self.address.repo, revision=revision)
        return str(found.sha)

    def files_below(self, commit: str, folder: str) -> list[HubFile] | None:
        """List the files below a folder; None if there is no such folder.

        Raises:
            DataError: the server cannot be reached, or there is no such commit.
        """
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            with self._translated(commit):
                entries = list(
                    self._api.list_repo_tree(
                        self.address.repo, folder or None, recursive=True, revision=commit,
                        repo_type=_DATASET,
                    )
                )  # fmt: skip
        except EntryNotFoundError:
            return None
        return [
            HubFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None)
            for entry in entries
            if isinstance(entry, RepoFile)
        ]

    def path_in_cache(self, commit: str, file: HubFile) -> Path | None:
        """Return where a file is that was downloaded before, by any program."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(
            self.address.repo, file.path, revision=commit, repo_type=_DATASET
        )
        return Path(found) if isinstance(found, str) else None

    def download(self, commit: str, file: HubFile) -> Path:
        """Download a file to the cache of the package.

        Raises:
            DataError: the server cannot be reached or refuses.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            with self._translated(commit):
                return Path(
                    hf_hub_download(
                        self.address.repo, file.path, revision=commit, repo_type=_DATASET,
                        endpoint=self.address.endpoint, tqdm_class=_Bar,
                    )
                )  # fmt: skip
        except EntryNotFoundError as error:
            raise refusal(self.address, commit, 404, None) from error

    @contextlib.contextmanager
    def _translated(self, revision: str) -> Iterator[None]:
        """Turn errors of the package into those that name the setting; absent files stay."""
        from huggingface_hub import errors

        try:
            yield
        except errors.RemoteEntryNotFoundError:
            raise
        except errors.HfHubHTTPError as error:
            raise self._refusal(revision, error) from error
        except errors.HFValidationError as error:
            raise refusal(self.address, revision, 404, None) from error
        except _transport_errors() as error:
            cause = error.__cause__ or error
            if isinstance(cause, errors.HfHubHTTPError):
                raise self._refusal(revision, cause) from error
            raise unreachable(self.address, cause) from error

    def _refusal(self, revision: str, error: Any) -> DataError:
        answer = error.response
        return refusal(
            self.address, revision, answer.status_code, answer.headers.get("X-Error-Code")
        )


def _transport_errors() -> tuple[type[BaseException], ...]:
    """The errors of the HTTP library that the package is built on, which differs by version."""
    found: list[type[BaseException]] = [OSError]
    for name in ("httpx2", "httpx"):
        with contextlib.suppress(ImportError):
            found.append(importlib.import_module(name).HTTPError)
    return tuple(found)


class _Bar:
    """lmlab's progress in the place of tqdm's, of which the package uses these methods."""

    def __init__(
        self, *_: object, total: int | None = None, initial: int = 0, desc: str = "", **__: object
    ) -> None:
        self._bar = progress(
            total=total, initial=initial, desc=f"downloading {desc}", unit="B", unit_scale=True
        )

    def __enter__(self) -> _Bar:
        self._bar.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.__exit__(*exception)

    def update(self, count: float = 1) -> None:
        """Count bytes."""
        self._bar.update(count)

    def close(self) -> None:
        """Nothing: the end of the context closes it."""
