"""Downloads that resume after a cut, show their progress, and record what was fetched."""

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
_CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def fetch(url: str, target: Path, *, sha256: str | None = None) -> Path:
    """Download ``url`` to ``target``, once; ``.gz`` is unpacked where the target is not one.

    A download cut short goes on where it stopped, also in a later run, if the server allows it
    and the content there is still the same. ``target`` appears only when complete; beside it
    ``<target>.json`` records the URL, size and hash.

    Args:
        url: over HTTP or HTTPS.
        target: the file to make.
        sha256: expected hash of what the server sends; None accepts all.

    Raises:
        DataError: the server cannot be reached or refuses, or the hash differs.
        DiskError: the disk is full or not writable; what was fetched is kept.
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
            f"{url}: the download has SHA-256 {digest}, expected was {sha256}; it was removed: "
            "the file on the server has changed, or something between altered it"
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
    """Bring ``part`` to its full size, through several connections if need be."""
    reason: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(min(0.2 * 2**attempt, 5.0))
        before = part.stat().st_size if part.exists() else 0
        try:
            if _receive(url, part):
                return
            reason = ConnectionError("the connection was cut")
        except urllib.error.HTTPError as error:
            reason = error
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            if error.code == 416:  # the part is longer than the file: begin anew
                part.unlink(missing_ok=True)
        except _CUT as error:
            reason = error
            refused = isinstance(getattr(error, "reason", None), OSError)
            if refused and before == 0 and attempt >= 1:
                break  # no network at all: more attempts would only keep the user waiting
    raise DataError(
        f"{url} cannot be downloaded ({reason}); rerun to go on with what was fetched, or put the "
        f"file at {target} with an empty {_record(target).name} beside it, or choose "
        "data=toystories, which needs no network, or data=text for files of your own"
    ) from reason


def _receive(url: str, part: Path) -> bool:
    """Receive what is missing of ``part``; False if the connection ended before the end."""
    have = part.stat().st_size if part.exists() else 0
    known: dict[str, Any] = {}
    if have:
        try:
            known = read_json(_state(part))
        except (OSError, ValueError):
            have = 0  # it cannot be told whether this part belongs to the same file
    headers = {"User-Agent": "lmlab"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.get("validator"):
            headers["If-Range"] = known["validator"]
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT and known.get("url") == url
        if have and not resumed and answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            part.unlink()
            return False
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        if resumed and known.get("total") not in (None, total):
            part.unlink()  # the file on the server is another one now
            return False
        strong = answer.headers.get("ETag", "")
        validator = strong if strong and not strong.startswith("W/") else None
        validator = validator or answer.headers.get("Last-Modified")
        write_json(_state(part), {"url": url, "total": total, "validator": validator})
        return _copy(answer, part, start, total)


def _copy(answer: Any, part: Path, start: int, total: int | None) -> bool:
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
                chunk = answer.read1(_CHUNK_BYTES)
            except _CUT:
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
            f"{url} is no sound gzip file ({error}): rerun to fetch it again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    packed.unlink()
