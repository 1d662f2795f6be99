"""Errors that the user can fix: one message and one line of help, without a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST_MESSAGE = 1600  # characters: what a terminal of 20 lines shows


def shorten(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Leave out the middle of a text that is longer than ``limit`` characters, and say so."""
    if len(text) <= limit:
        return text
    note = f" ... ({len(text):,} characters) ... "
    kept = max(0, limit - len(note))
    end = kept // 4
    return f"{text[: kept - end]}{note}{text[len(text) - end :]}"


class UserError(Exception):
    """A mistake or a limit of the machine that the user can fix.

    Commands print ``error: MESSAGE``, then ``help: HELP`` on the next line, and exit with
    ``exit_code``.

    Args:
        message: what is wrong: ``key=value: expected X``, or the file and what is wrong with it.
        help: what to do about it; None where the message already says it.
    """

    exit_code = 2

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message, help)  # both, so that the error survives pickling
        self.message = message
        self.help = help

    def __str__(self) -> str:
        message = shorten(self.message)
        return message if self.help is None else f"{message}\nhelp: {shorten(self.help)}"


class ConfigError(UserError):
    """A setting is unknown, has the wrong type, or is out of range."""


class DataError(UserError):
    """A text, a token file or a tokenizer cannot be used as given."""


class TextChangedError(DataError):
    """A text changed between two passes over it.

    Args:
        paths: the files of the text.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        super().__init__(
            f"{', '.join(map(str, paths))}: the text changed while it was read",
            "rerun once no other program writes it",
        )

    def __reduce__(self) -> tuple[type[TextChangedError], tuple[tuple[Path, ...]]]:
        return TextChangedError, (self.paths,)


class DiskError(UserError):
    """A file or folder cannot be written or read: disk full, no permission, read-only."""


class LockedError(UserError):
    """Another live process owns the folder."""

    exit_code = 75  # EX_TEMPFAIL of the BSDs: retrying later may succeed


class LostLockError(LockedError):
    """Another process has taken the lock of this one, which must not write any more."""


class RankError(UserError):
    """Another process of the same run has ended, so this one ends too."""

    exit_code = 1


class LostRankError(RankError):
    """Another process of the same run was killed or is unreachable: not a mistake of the user."""

    exit_code = 69  # EX_UNAVAILABLE of the BSDs


class ReportedElsewhere(UserError):
    """Another process of the same run reports what ended this one: print nothing."""

    def __init__(self, error: UserError) -> None:
        super().__init__(error.message, error.help)
        self.exit_code = error.exit_code

    def __reduce__(self) -> tuple[type[ReportedElsewhere], tuple[UserError]]:
        error = UserError(self.message, self.help)
        error.exit_code = self.exit_code
        return ReportedElsewhere, (error,)


class Check(NamedTuple):
    """A setting and whether its value is valid; see :func:`check_settings`.

    Attributes:
        key: the setting as the user types it.
        value: what was given.
        is_valid: the result of the check.
        expected: which values are valid, as the rest of "expected ...".
    """

    key: str
    value: object
    is_valid: bool
    expected: str


def check_settings(checks: Iterable[Check]) -> None:
    """Raise :class:`ConfigError` for the first setting whose value is not valid."""
    for check in checks:
        if not check.is_valid:
            raise ConfigError(f"{check.key}={check.value}: expected {check.expected}")


# Sizes of the members of a family, such as gpt2_small, as they are listed.
_SIZES = ("nano", "micro", "tiny", "small", "medium", "base", "large", "xl")


def suggestion(word: str, candidates: Iterable[str]) -> str | None:
    """Return ``did you mean "x"?`` for the nearest of ``candidates``; None where none is near."""
    return did_you_mean(nearest(word, candidates))


def did_you_mean(words: Sequence[str]) -> str | None:
    """Return ``did you mean "x" or "y"?``; None without words."""
    quoted = [f'"{word}"' for word in words]
    if not quoted:
        return None
    return f"did you mean {' or '.join(filter(None, [', '.join(quoted[:-1]), quoted[-1]]))}?"


def nearest(word: str, candidates: Iterable[str], least: float = 0.5) -> list[str]:
    """Return the candidates that ``word`` may mean.

    The first of these rules that finds one decides: the same letters and digits; all candidates
    that begin with the word; the longest with which the word begins; the most similar. A family,
    such as ``gpt2_small`` and ``gpt2_xl``, is compared by its common first part, too, which means
    all its members.

    Args:
        word: as typed.
        candidates: the words that exist.
        least: smallest similarity, from 0 to 1, for the last rule.
    """
    import difflib  # only errors need it

    known = list(candidates)
    plain = {one: re.sub(r"[^a-z0-9]", "", one.lower()) for one in known}
    given = re.sub(r"[^a-z0-9]", "", word.lower())
    if not given:
        return []
    same = [one for one in known if plain[one] == given]
    if same:
        return same[:1]
    if len(given) > 1:
        longer = [one for one in known if plain[one].startswith(given)]
        shorter = [one for one in known if len(plain[one]) > 1 and given.startswith(plain[one])]
        if longer or shorter:
            return _by_size(longer)[:6] or [max(shorter, key=len)]
    families: dict[str, list[str]] = {}
    for one in known:
        families.setdefault(one.partition("_")[0], []).append(one)
    stems = [stem for stem, members in families.items() if len(members) > 1 and stem not in known]
    near = difflib.get_close_matches(word, [*known, *stems], n=1, cutoff=least)
    return _by_size(families[near[0]])[:6] if near and near[0] in stems else near


def _by_size(words: list[str]) -> list[str]:
    """Sort the members of a family by the sizes that their names end in."""

    def size(word: str) -> int:
        last = word.rpartition("_")[2]
        return _SIZES.index(last) if last in _SIZES else -1

    return sorted(words, key=size)
