"""Downloads that resume after an interruption, show progress, and record what was downloaded."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmlab.console.progress_bar import progress
from lmlab.errors import DataError, DiskError
from lmlab.storage.content_hash import remembered_hash
from lmlab.storage.fields import TEXT, or_null, read_fields
from lmlab.storage.io import (
    discard,
    fsync_folder,
    hash_content,
    make_folder,
    read_json,
    translate_read_errors,
    translate_write_errors,
    write_json,
)
from lmlab.storage.lock import Lock
from lmlab.storage.sealed import read_sealed, write_sealed

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 5
_CONNECTION_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    secret_headers: Mapping[str, str] | None = None,
) -> Path:
    """Download ``url`` to ``target``, once; unpack ``.gz`` unless ``target`` ends in ``.gz``.

    An interrupted download resumes where it stopped, also in a later run, if the server supports it
    and the content there is unchanged. ``target`` appears only when complete; ``<target>.json``
    records the URL, size and hashes. A file that has changed since, or comes from another URL, is
    downloaded again with a warning.

    Args:
        url: over HTTP or HTTPS.
        target: the file to write.
        sha256: expected hash of the downloaded file; None accepts any.
        secret_headers: sent to the server of ``url``, and not to one to which it redirects.

    Raises:
        DataError: the server cannot be reached or refuses, or the hash differs.
        DiskError: the disk is full or not writable; the partial download is kept.
    """
    if is_complete(url, target, sha256=sha256):
        return target
    with Lock(target.with_name(f"{target.name}.lock")):
        problem = _problem(target, url, sha256)
        if problem is None:  # another process has just downloaded it
            return target
        if problem:
            log.warning("%s; downloading it again", problem)
            discard(target, _record(target))
        _fetch(url, target, sha256, secret_headers or {})
    return target


def is_complete(url: str, target: Path, *, sha256: str | None = None) -> bool:
    """Whether ``target`` is the content of ``url`` already; see :func:`fetch`."""
    return _problem(target, url, sha256) is None


def _fetch(url: str, target: Path, sha256: str | None, secret_headers: Mapping[str, str]) -> None:
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.part")
    _download(url, part, target, secret_headers)
    digest = hash_content(part)
    if sha256 is not None and digest != sha256:
        part.unlink()
        raise DataError(
            f"{url}: expected SHA-256 {sha256}, received {digest}; the download was removed",
            "check whether the file on the server has changed, or a proxy altered it",
        )
    size = part.stat().st_size
    with translate_write_errors(target):
        if _is_packed(url, target):
            content = _unpack(part, target, url)
        else:
            content = digest
            _fsync(part)
            os.replace(part, target)
        fsync_folder(target.parent)
        _state(part).unlink(missing_ok=True)
    record = {"url": url, "bytes": size, "sha256": digest, "content_sha256": content}
    write_sealed(_record(target), record)


def _is_packed(url: str, target: Path) -> bool:
    return url.endswith(".gz") and target.suffix != ".gz"


def _problem(target: Path, url: str, sha256: str | None) -> str | None:
    """Return None if ``target`` is the content of ``url``, otherwise what is wrong with it.

    The text is empty if nothing was downloaded. A file that the user put there, with an empty
    record, is used as it is.

    Raises:
        DataError: that file does not have the expected hash.
    """
    record_path = _record(target)
    if not target.is_file() or not record_path.is_file():
        return ""
    try:
        if not record_path.read_bytes().strip(b"{} \n"):
            if sha256 is not None and not _is_packed(url, target):
                _check_hash(target, sha256)
            return None
        record = _read_record(target)
        if sha256 is None and record["url"] != url:
            return f"{target}: downloaded from {record['url']}"
        if sha256 not in (None, record["sha256"]):
            return f"{target}: expected SHA-256 {sha256}, downloaded {record['sha256']}"
        if remembered_hash(target) != record["content_sha256"]:
            return f"{target}: not the content that was downloaded"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{record_path}: cannot be read: {error}"
    return None


def _check_hash(target: Path, sha256: str) -> None:
    with translate_read_errors(target):
        found = remembered_hash(target)
    if found != sha256:
        raise DataError(
            f"{target}: expected SHA-256 {sha256}, found {found}",
            "put the expected file there, or remove it to download it",
        )


def _read_record(target: Path) -> dict[str, Any]:
    """Read the record of a download; complete one of an earlier version, which had no checksum."""
    try:
        return read_sealed(_record(target))
    except ValueError:
        record = read_json(_record(target))
        is_earlier = isinstance(record, dict) and record.keys() == {"url", "bytes", "sha256"}
        if not is_earlier or not isinstance(record["url"], str):
            raise
    is_packed = _is_packed(record["url"], target)
    content = remembered_hash(target) if is_packed else record["sha256"]
    completed = {**record, "content_sha256": content}
    with contextlib.suppress(DiskError):
        write_sealed(_record(target), completed)
    return completed


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _download(url: str, part: Path, target: Path, secret_headers: Mapping[str, str]) -> None:
    """Complete ``part``, over several connections if needed."""
    reason: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(min(0.2 * 2**attempt, 5.0))
        before = part.stat().st_size if part.exists() else 0
        try:
            if _receive(url, part, secret_headers):
                return
            reason = ConnectionError("the connection was interrupted")
        except urllib.error.HTTPError as error:
            reason = error
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            if error.code == 416:  # the part is longer than the file: start over
                part.unlink(missing_ok=True)
        except _CONNECTION_ERRORS as error:
            reason = error
            refused = isinstance(getattr(error, "reason", None), OSError)
            if refused and before == 0 and attempt >= 1:
                break  # no network at all: more attempts are useless
    raise DataError(
        f"{url}: cannot download ({reason})",
        f"rerun to resume; or put the file at {target} with an empty {_record(target).name} next "
        "to it; or use data=toystories, which needs no network, or data=text for your own files",
    ) from reason


def _receive(url: str, part: Path, secret_headers: Mapping[str, str]) -> bool:
    """Receive the missing bytes of ``part``; False if the connection ended early."""
    size = part.stat().st_size if part.exists() else 0
    state: dict[str, Any] = {}
    if size:
        state = read_fields(_state(part), {"url": TEXT, "validator": or_null(TEXT)})
        size = size if state else 0  # unknown whether this part belongs to the same file
    headers = {"User-Agent": "lmlab"}
    if size:
        headers["Range"] = f"bytes={size}-"
        if state.get("validator"):
            headers["If-Range"] = state["validator"]
    request = urllib.request.Request(url, headers=headers)
    for name, value in secret_headers.items():
        request.add_unredirected_header(name, value)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT and state.get("url") == url
        if size and not resumed and response.status == http.HTTPStatus.PARTIAL_CONTENT:
            part.unlink()
            return False
        start = size if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        if resumed and state.get("total") not in (None, total):
            part.unlink()  # the file on the server has changed
            return False
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else None
        validator = validator or response.headers.get("Last-Modified")
        write_json(_state(part), {"url": url, "total": total, "validator": validator})
        return _copy(response, part, start, total)


def _copy(response: Any, part: Path, start: int, total: int | None) -> bool:
    received = start
    with (
        translate_write_errors(part),
        open(part, "ab" if start else "wb") as file,
        progress(
            total=total, initial=start, desc=f"downloading {part.stem}", unit="B", unit_scale=True
        ) as bar,
    ):
        while True:
            try:
                chunk = response.read1(_CHUNK_BYTES)
            except _CONNECTION_ERRORS:
                break
            if not chunk:
                break
            file.write(chunk)
            received += len(chunk)
            bar.update(len(chunk))
    return received == total if total is not None else True


def _fsync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _unpack(packed: Path, target: Path, url: str) -> str:
    """Unpack a file and remove the packed one; return the SHA-256 of the content."""
    temporary = target.with_name(f".{target.name}.unpacking")
    try:
        with gzip.open(packed, "rb") as source, open(temporary, "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        content = hash_content(temporary)
        os.replace(temporary, target)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        packed.unlink()
        raise DataError(
            f"{url}: expected a gzip file ({error})", "rerun to download it again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    packed.unlink()
    return content
