"""Files of a text: from paths, lists, patterns and folders."""

from __future__ import annotations

import functools
import glob
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from lmlab.console.formatting import format_count
from lmlab.errors import DataError, suggestion
from lmlab.records.byte_stream import STANDARD_INPUT, ByteStream
from lmlab.storage.io import read_json, translate_read_errors

log = logging.getLogger(__name__)

# The names of splits, those for validation in the order in which they are preferred.
SPLITS = {
    "train": ("train",), "valid": ("validation", "valid", "val", "dev", "test"),
}  # fmt: skip
_NAMES = "|".join(name for names in SPLITS.values() for name in names)
_SPLIT_NAME = re.compile(rf"(?:^|[^a-z])({_NAMES})(?:[^a-z]|$)")
_ARROW_STATE, _DICT_STATE = "state.json", "dataset_dict.json"
_SHOWN = 3


def find_files(key: str, value: str | Sequence[str], *, split: str | None = None) -> list[Path]:
    """Return the files that a setting names, in order.

    A file stands for itself; a pattern for the files that it matches, and a folder for those in it,
    in natural order (2 before 10). Of a folder written by ``save_to_disk`` of datasets, these are
    the files that it lists.

    Args:
        key: the setting, for messages, such as ``data.train``.
        value: a path, a pattern such as ``text/*.parquet``, ``-`` for standard input, or a list.
        split: ``train`` or ``valid``: which split of a folder with several is meant.

    Raises:
        DataError: there is no such file, or a folder holds several formats or splits.
    """
    values = [value] if isinstance(value, str) else list(value)
    if not values:
        raise DataError(f"{key}=[]: expected a text file, or a list of text files")
    found: list[Path] = []
    for one in values:
        found += _find(key, str(one), split)
    return found


def _find(key: str, value: str, split: str | None) -> list[Path]:
    path = Path(value)
    if value == str(STANDARD_INPUT):
        return [STANDARD_INPUT]
    if path.is_dir():
        return _in_folder(key, path, split)
    if path.exists():
        return [path]
    if glob.has_magic(value):
        matches = [Path(match) for match in glob.glob(value, recursive=True)]
        files = sorted((match for match in matches if match.is_file()), key=natural_order)
        if not files:
            raise DataError(
                f"{key}={value}: no file matches this pattern", "check it with ls, unquoted"
            )
        return files
    raise DataError(f"{key}={value}: no such file", _similar_path(path))


def _in_folder(key: str, folder: Path, split: str | None) -> list[Path]:
    if (folder / _DICT_STATE).is_file():
        return _in_folder(key, _split_folder(key, folder, split), split)
    if (folder / _ARROW_STATE).is_file():
        return _arrow_files(key, folder)
    files = [
        path
        for path in sorted(folder.rglob("*"), key=natural_order)
        if path.is_file() and not any(part.startswith(".") for part in _below(folder, path))
    ]
    if not files:
        raise DataError(f"{key}={folder}: the folder is empty", "give a file, or a folder of files")
    files = _of_one_format(key, folder, files)
    names = {name for file in files if (name := split_name(folder, file))}
    if len(names) > 1:
        wanted = min(names, key=lambda name: (name not in SPLITS.get(split or "train", ()), name))
        raise DataError(
            f"{key}={folder}: expected one split, found {', '.join(sorted(names))}",
            f"choose its files with a pattern: {key}='{folder}/**/*{wanted}*'",
        )
    return files


def _split_folder(key: str, folder: Path, split: str | None) -> Path:
    """The folder of a split of a DatasetDict."""
    with translate_read_errors(f"{key}={folder}"):
        splits = [str(name) for name in read_json(folder / _DICT_STATE).get("splits", [])]
    for name in SPLITS.get(split or "train", ()):
        if name in splits:
            log.info("%s=%s: reading its split %s", key, folder, name)
            return folder / name
    raise DataError(
        f"{key}={folder}: expected a split {' or '.join(SPLITS[split or 'train'])}, found "
        f"{', '.join(splits) or 'none'}",
        f"give the folder of a split, such as {key}={folder / (splits or ['train'])[0]}",
    )


def _arrow_files(key: str, folder: Path) -> list[Path]:
    with translate_read_errors(f"{key}={folder}"):
        state = read_json(folder / _ARROW_STATE)
    names = [str(file["filename"]) for file in state.get("_data_files", [])]
    if state.get("_indices_data_files"):
        raise DataError(
            f"{key}={folder}: expected rows in their order, found separate indices, which early "
            "versions of datasets wrote",
            "load the folder and save it again with a current version of datasets",
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise DataError(
            f"{key}={folder}: expected the files that {_ARROW_STATE} lists, found no "
            f"{missing[0] if missing else 'list'}",
            "copy or save the folder again",
        )
    return [folder / name for name in names]


def _of_one_format(key: str, folder: Path, files: list[Path]) -> list[Path]:
    """The files with records if there are any, otherwise all; they must be of one format."""
    by_layout: dict[str, list[Path]] = {}
    unread: list[tuple[Path, DataError]] = []
    for file in files:
        try:
            stream = ByteStream(file, f"{key}={file}")
        except DataError as error:
            unread.append((file, error))
            continue
        stream.close()
        by_layout.setdefault(stream.kind.layout, []).append(file)
    if not by_layout:
        raise unread[0][1]
    records = [layout for layout in by_layout if layout != "plain"]
    if len(records) > 1:
        raise DataError(
            f"{key}={folder}: expected files of one format, found {' and '.join(sorted(records))}",
            f"choose the files with a pattern, such as {key}='{folder}/*.parquet'",
        )
    chosen = records[0] if records else "plain"
    left = [file for file, _ in unread]
    left += [file for layout, found in by_layout.items() if layout != chosen for file in found]
    if left:
        names = ", ".join(str(file.relative_to(folder)) for file in left[:_SHOWN])
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        read = format_count(len(by_layout[chosen]), f"{chosen} file")
        _tell(f"{key}={folder}: reading {read}; left out: {names}{more}")
    return by_layout[chosen]


@functools.cache
def _tell(line: str) -> None:
    """Say something once, though files are looked for by the check and again by the run."""
    log.info("%s", line)


def _below(folder: Path, path: Path) -> tuple[str, ...]:
    return path.relative_to(folder).parts


def split_name(folder: Path, path: Path) -> str | None:
    """Return the split that the name of a file, or of a folder around it, says; None if none."""
    for part in reversed(_below(folder, path)):
        if match := _SPLIT_NAME.search(part.lower()):
            return match[1]
    return None


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """A key that orders numbers in names by value."""
    pieces = re.split(r"(\d+)", str(path))
    return [(not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in pieces]


def _similar_path(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"check the path: its folder {path.parent} does not exist either"
    return suggestion(path.name, [other.name for other in path.parent.iterdir()])
