"""Errors that the user can fix: one message and one line of help, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


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
        return self.message if self.help is None else f"{self.message}\nhelp: {self.help}"


class ConfigError(UserError):
    """A setting is unknown, has the wrong type, or is out of range."""


class DataError(UserError):
    """A text, a token file or a tokenizer cannot be used as given."""


class DiskError(UserError):
    """A file or folder cannot be written or read: disk full, no permission, read-only."""


class LockedError(UserError):
    """Another live process owns the folder."""

    exit_code = 75  # EX_TEMPFAIL of the BSDs: retrying later may succeed


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


def suggestion(word: str, candidates: Iterable[str]) -> str | None:
    """Return ``did you mean "x"?`` for the nearest of ``candidates``; None where none is near."""
    import difflib  # only errors need it

    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else None
