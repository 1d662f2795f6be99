"""Where a dataset repository is, and what its server answers when it refuses."""

from __future__ import annotations

import dataclasses
import os
from urllib.parse import quote

from lmlab.errors import DataError

_ENDPOINT = "https://huggingface.co"
_TRUE = ("1", "on", "yes", "true")


@dataclasses.dataclass(frozen=True)
class Address:
    """A dataset repository on a server.

    Attributes:
        repo: ``OWNER/NAME``.
        endpoint: the server, over HTTP or HTTPS, without a slash at the end.
        token: for gated and private repositories; None sends none.
        offline: whether the network must not be used.
    """

    repo: str
    endpoint: str = _ENDPOINT
    token: str | None = None
    offline: bool = False

    @classmethod
    def from_environment(cls, repo: str) -> Address:
        """Return the address of a repository by the variables that huggingface_hub documents.

        These are ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE``.
        """
        return cls(
            repo,
            (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/"),
            os.environ.get("HF_TOKEN") or None,
            os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE,
        )

    @property
    def page(self) -> str:
        """Where a person looks at the repository."""
        return f"{self.endpoint}/datasets/{self.repo}"

    @property
    def folder_name(self) -> str:
        """Name of a folder for its files."""
        return self.repo.replace("/", "--")

    def info_url(self, revision: str) -> str:
        """Where the server says which commit a revision is."""
        return f"{self.endpoint}/api/datasets/{self.repo}/revision/{quote(revision, safe='')}"

    def tree_url(self, commit: str, folder: str) -> str:
        """Where the server lists the files below a folder."""
        place = f"/{quote(folder)}" if folder else ""
        return f"{self.endpoint}/api/datasets/{self.repo}/tree/{commit}{place}?recursive=true"

    def file_url(self, commit: str, path: str) -> str:
        """Where a file is."""
        return f"{self.page}/resolve/{commit}/{quote(path)}"


def refusal(address: Address, revision: str, status: int, code: str | None) -> DataError:
    """Return the error for an answer that is no success.

    Args:
        address: of the repository.
        revision: the revision that was asked for.
        status: of HTTP.
        code: the header ``X-Error-Code`` of the server, where there is one.
    """
    named = f"data.repo={address.repo}"
    token = "set HF_TOKEN to a token that may read it"
    if code == "GatedRepo" or status == 403:
        return DataError(
            f"{named}: expected access to the repository, which is gated",
            f"accept its terms at {address.page} and {token}",
        )
    if code == "RevisionNotFound":
        return DataError(
            f"data.revision={revision}: {address.repo} has no such branch, tag or commit",
            f"the revisions are listed at {address.page}/tree/main",
        )
    if status in (401, 404):
        return DataError(
            f"{named}: {address.endpoint} has no such public dataset repository",
            f"check OWNER/NAME; if it is private, {token}",
        )
    return DataError(f"{named}: {address.endpoint} answered with HTTP {status}", "rerun later")


def unreachable(address: Address, reason: object) -> DataError:
    """Return the error for a server that does not answer."""
    if address.offline:
        message = f"data.repo={address.repo}: not in the cache, and HF_HUB_OFFLINE is set"
    else:
        message = f"data.repo={address.repo}: cannot reach {address.endpoint} ({reason})"
    return DataError(
        message,
        "check the network, or set HF_ENDPOINT to a mirror; files that you have are read with "
        "data=text data.train='FOLDER/*.parquet'",
    )
