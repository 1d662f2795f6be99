"""Downloads that resume after an interruption, show progress, and record what was downloaded."""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

from lmlab.console.progress_bar import progress
from lmlab.errors import DataError
from lmlab.storage.io import hash_file, make_folder, read_json, translate_write_errors, write_json

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 5
_CONNECTION_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)


def fetch(url: str, target: Path, *, sha256: str | None = None) -> Path:
    """Download ``url`` to ``target``, once; unpack ``.gz`` unless ``target`` ends in ``.gz``.

    An interrupted download resumes where it stopped, also in a later run, if the server supports it
    and the content there is unchanged. ``target`` appears only when complete; ``<target>.json``
    records the URL, size and hash.

    Args:
        url: over HTTP or HTTPS.
        target: the file to write.
        sha256: expected hash of the downloaded file; None accepts any.

    Raises:
        DataError: the server cannot be reached or refuses, or the hash differs.
        DiskError: the disk is full or not writable; the partial download is kept.
    """
    if target.is_file() and _record(target).is_file():
        return target
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.part")
    _download(url, part, target)
    digest = hash_file(part)
    if sha256 is not None and digest != sha256:
        part.unlink()
        raise DataError(
            f"{url}: expected SHA-256 {sha256}, received {digest}; the download was removed",
            "check whether the file on the server has changed, or a proxy altered it",
        )
    size = part.stat().st_size
    with translate_write_errors(target):
        if url.endswith(".gz") and target.suffix != ".gz":
            _unpack(part, target, url)
        else:
            os.replace(part, target)
        _state(part).unlink(missing_ok=True)
    write_json(_record(target), {"url": url, "bytes": size, "sha256": digest})
    return target


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _download(url: str, part: Path, target: Path) -> None:
    """Complete ``part``, over several connections if needed."""
    reason: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(min(0.2 * 2**attempt, 5.0))
        before = part.stat().st_size if part.exists() else 0
        try:
            if _receive(url, part):
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


def _receive(url: str, part: Path) -> bool:
    """Receive the missing bytes of ``part``; False if the connection ended early."""
    size = part.stat().st_size if part.exists() else 0
    state: dict[str, Any] = {}
    if size:
        try:
            state = read_json(_state(part))
        except (OSError, ValueError):
            size = 0  # unknown whether this part belongs to the same file
    headers = {"User-Agent": "lmlab"}
    if size:
        headers["Range"] = f"bytes={size}-"
        if state.get("validator"):
            headers["If-Range"] = state["validator"]
    request = urllib.request.Request(url, headers=headers)
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


def _unpack(packed: Path, target: Path, url: str) -> None:
    temporary = target.with_name(f".{target.name}.unpacking")
    try:
        with gzip.open(packed, "rb") as source, open(temporary, "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        packed.unlink()
        raise DataError(
            f"{url}: expected a gzip file ({error})", "rerun to download it again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    packed.unlink()
