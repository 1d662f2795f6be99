"""Errors that are told to the user in one message, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user's or of the machine's that a person can put right.

    The message names the key (or file), the value received, what is accepted, and the fix. The
    ``python -m lmlab...`` heads print it after ``error:`` and exit with its ``exit_code``.
    """

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, or out of its range."""


class DataError(UserError):
    """A text, a token file or a tokenizer cannot be used as given."""


class DiskError(UserError):
    """A file or folder cannot be written or read: full disk, no permission, read-only."""


class LockedError(UserError):
    """Another live process owns the folder."""

    exit_code = 75  # EX_TEMPFAIL of the BSDs: trying again later may do


class RankError(UserError):
    """Another process of the same run has ended, and so this one does."""

    exit_code = 1


class LostRankError(RankError):
    """Another process of the same run was killed, or can no longer be reached: bad luck."""

    exit_code = 69  # EX_UNAVAILABLE of the BSDs


class ReportedElsewhere(UserError):
    """What ended this process is told by another one of the same run: nothing is printed."""

    def __init__(self, error: UserError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``'; did you mean "x"?'`` for the nearest of ``candidates``, or an empty string."""
    import difflib  # an error may take its time

    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""
