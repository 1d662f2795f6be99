"""Which files of a repository a run reads: by patterns, splits and shards."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lmlab.data.hub.listing import HubFile
from lmlab.errors import DataError, did_you_mean, nearest
from lmlab.records.paths import SPLITS, natural_order, split_name

_TRAIN = "train"
_RECORDS = (".parquet", ".jsonl", ".arrow", ".json", ".txt", ".gz", ".zst", ".xz", ".bz2")
_SHOWN = 5
_MAGIC = re.compile(r"[*?\[]")


class Selected(NamedTuple):
    """The files of both splits.

    Attributes:
        train: in the order in which they are read.
        valid: the same; empty where a part of ``train`` is held out.
        how: what the validation text is, in words.
    """

    train: tuple[HubFile, ...]
    valid: tuple[HubFile, ...]
    how: str


def folder_of(patterns: Sequence[str]) -> str:
    """Return the deepest folder that holds whatever patterns match; empty for the root."""
    folders = []
    for pattern in patterns:
        match = _MAGIC.search(pattern)
        fixed = pattern if match is None else pattern[: match.start()]
        folders.append(fixed.split("/")[:-1])
    common: list[str] = []
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        common.append(names[0])
    return "/".join(common)


def select(
    files: Sequence[HubFile],
    patterns: Sequence[str],
    valid_patterns: Sequence[str],
    shards: int | Sequence[int] | None,
) -> Selected:
    """Choose the files of both splits.

    Without ``valid_patterns``, files whose names say that they hold a validation split are the
    validation text: the split ``validation`` (also ``valid``, ``val`` or ``dev``), otherwise
    ``test``.

    Args:
        files: what the repository has.
        patterns: of the training files, as :func:`matches` reads them; all that match one of them.
        valid_patterns: of the validation files.
        shards: how many of the training files, from the first; or which, counted from 0; None for
            all.

    Raises:
        DataError: no file matches a pattern, or there is no such shard.
    """
    found = _matching("data.files", files, patterns)
    if valid_patterns:
        valid = _matching("data.valid_files", files, valid_patterns)
        train = tuple(file for file in found if file not in valid)
        how = "the files of data.valid_files"
    else:
        train, valid, how = _by_split(found)
    if not train:
        raise DataError(
            "data.files: expected training files, but all that match are validation files",
            "name those for training, such as data.files='data/train-*.parquet'",
        )
    return Selected(_shards(train, shards), valid, how)


def _by_split(found: tuple[HubFile, ...]) -> tuple[tuple[HubFile, ...], tuple[HubFile, ...], str]:
    by_split: dict[str, list[HubFile]] = collections.defaultdict(list)
    for file in found:
        by_split[split_name(Path(), Path(file.path)) or _TRAIN].append(file)
    train = tuple(by_split.get(_TRAIN, ()))
    for name in SPLITS["valid"]:
        if name in by_split:
            return train, tuple(by_split[name]), f"the split {name} of the repository"
    return train, (), "held out by the hash of each document"


def _shards(train: tuple[HubFile, ...], shards: int | Sequence[int] | None) -> tuple[HubFile, ...]:
    if shards is None:
        return train
    numbers = range(shards) if isinstance(shards, int) else shards
    if (isinstance(shards, int) and shards > len(train)) or any(n >= len(train) for n in numbers):
        counted = "1" if len(train) == 1 else f"1 to {len(train)}"
        raise DataError(
            f"data.shards={shards}: expected {counted}, or a list of numbers from 0 to "
            f"{len(train) - 1}, since data.files has {len(train)}",
            "or set data.shards=null for all",
        )
    return tuple(train[number] for number in numbers)


def _matching(key: str, files: Sequence[HubFile], patterns: Sequence[str]) -> tuple[HubFile, ...]:
    chosen: list[HubFile] = []
    for pattern in patterns:
        found = [file for file in files if matches(pattern, file.path)]
        if not found:
            raise _no_match(key, pattern, [file.path for file in files])
        chosen += [file for file in found if file not in chosen]
    return tuple(sorted(chosen, key=lambda file: natural_order(Path(file.path))))


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern matches a path: ``*`` and ``?`` within a name, ``**/`` for any folders."""
    return re.fullmatch(_regular_expression(pattern), path) is not None


def _regular_expression(pattern: str) -> str:
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return "".join(pieces.get(part) or _one_character(part) or re.escape(part) for part in parts)


def _one_character(part: str) -> str | None:
    """The expression of ``[abc]``, ``[a-c]`` or ``[!abc]``; None for other parts."""
    if part[:1] != "[" or part[-1:] != "]":
        return None
    listed = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
    return f"[^/{listed[1:]}]" if listed.startswith("!") else f"[{listed}]"


def _no_match(key: str, pattern: str, paths: Sequence[str]) -> DataError:
    """The error for a pattern that none of the files matches."""
    records = [path for path in paths if path.endswith(_RECORDS)]
    if not records:
        return DataError(
            f"{key}={pattern}: no such file; the repository holds no files of text that lmlab reads"
        )
    counts = collections.Counter(_pattern_of(path) for path in records)
    listed = [f"{one} ({number})" for one, number in counts.most_common(_SHOWN)]
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    near = nearest(pattern, [*counts, *records])
    return DataError(
        f"{key}={pattern}: no such file; there are {', '.join(listed)}{more}",
        did_you_mean(near[:3]) or "quote patterns: data.files='data/*.parquet'",
    )


def _pattern_of(path: str) -> str:
    """The pattern of the files that differ from one in the numbers of its name."""
    folder, _, name = path.rpartition("/")
    stem, _, suffix = name.partition(".")
    stem = re.sub(r"\d[\w-]*$", "*", stem)
    return f"{folder}/{stem}.{suffix}" if folder else f"{stem}.{suffix}"
