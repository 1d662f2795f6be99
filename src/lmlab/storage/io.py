"""Files that survive a crash: atomic writes, JSON lines, and content hashes."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lmlab.errors import DataError, DiskError

_ELSEWHERE = "choose another place (for runs: output_root)"
_FIXES = {
    errno.ENOSPC: "the disk is full: free some space (python -m lmlab.outputs prune) and rerun",
    errno.EDQUOT: "your disk quota is used up: free some space and rerun",
    errno.EROFS: f"the file system is read-only: {_ELSEWHERE}",
    errno.EACCES: f"permission denied: {_ELSEWHERE} or change the permissions",
    errno.EPERM: f"permission denied: {_ELSEWHERE} or change the permissions",
    # What mkdir says of a place like /proc, with every parent there.
    errno.ENOENT: f"nothing can be made there, or it was removed meanwhile: {_ELSEWHERE}",
    errno.ELOOP: f"its symbolic links lead in a circle: {_ELSEWHERE}",
    errno.EISDIR: "a folder stands there: choose another name",
    errno.ENOTDIR: f"a part of this path is a file, not a folder: {_ELSEWHERE}",
    errno.EEXIST: f"a file stands where a folder is needed: {_ELSEWHERE}",
    errno.ENAMETOOLONG: f"the name is too long: {_ELSEWHERE}, or a shorter name of study or arm",
}


def disk_error(error: OSError, path: Path) -> DiskError | None:
    """Translate an operating-system error into a message with its fix; None if it has none here."""
    fix = _FIXES.get(error.errno or 0)
    return DiskError(f"cannot write {path}: {fix}") if fix else None


@contextlib.contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Turn disk errors raised inside into :class:`DiskError` naming ``path`` and the fix."""
    try:
        yield
    except OSError as error:
        told = disk_error(error, path)
        if told is None:
            raise
        raise told from error


@contextlib.contextmanager
def translate_read_errors(named: Path | str) -> Iterator[None]:
    """Turn system errors raised inside into :class:`DataError` that says what was ``named``."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{named} cannot be read: {error.strerror or error}") from error


def make_folder(path: Path) -> Path:
    """Create ``path`` with its parents. Raises :class:`DiskError` where that is not possible."""
    with translate_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def fsync_folder(path: Path) -> None:
    """Make renames inside ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: readers see the old file or the new one, never a part.

    Raises:
        DiskError: the disk is full or the folder is not writable; the old file is untouched.
    """
    import tempfile  # not for those who only read files

    path = Path(path)
    make_folder(path.parent)
    with translate_write_errors(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


@functools.cache
def _umask() -> int:
    # The mask can only be read by setting it; once a process, so that threads do not race.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def atomic_write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8; see :func:`atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON; see :func:`atomic_write_bytes`."""
    atomic_write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises FileNotFoundError or json.JSONDecodeError."""
    return json.loads(Path(path).read_text("utf-8"))


def get_or_create_json(path: Path, make: Callable[[], Any]) -> Any:
    """What stands in ``path``; where there is nothing readable, what ``make`` gives, kept there.

    Of several processes that make it at the same time all return what the first has written.
    """
    with contextlib.suppress(OSError, ValueError):
        return read_json(path)
    value = make()
    make_folder(path.parent)
    own = path.with_name(f".{os.urandom(16).hex()}.{path.name}")
    write_json(own, value)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
        return read_json(path)
    except (OSError, ValueError):  # no links here, or what stood there is damaged
        write_json(path, value)
        return value
    finally:
        own.unlink(missing_ok=True)


def append_jsonl(path: Path, row: dict[str, Any]) -> None:
    """Append ``row`` to a JSON-lines file and hand it to the operating system at once.

    A row reaches the file by one write, so a killed process leaves at most one partial last line,
    which :func:`read_jsonl` passes over and the next append ends.
    """
    with translate_write_errors(path), open(path, "ab") as file:
        line = json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
        start = file.tell()
        if start and not _ends_with_newline(path, start):
            line = b"\n" + line
        file.write(line)


def _ends_with_newline(path: Path, size: int) -> bool:
    with open(path, "rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSON-lines file; lines cut short by a kill are passed over."""
    if not Path(path).exists():
        return []
    rows = []
    for line in Path(path).read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex; remembered while size and time stay."""
    stat = os.stat(path)
    return _hash_file(str(path), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _hash_file(path: str, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # keys of the memory only
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Return the SHA-256 in hex of ``value`` as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
