"""Errors of users: form, exit codes, pickling, range checks and suggestions."""

from __future__ import annotations

import pickle

import pytest

from lmlab.errors import (
    Check,
    ConfigError,
    DataError,
    LockedError,
    LostRankError,
    RankError,
    ReportedElsewhere,
    UserError,
    check_settings,
    suggestion,
)


def test_help_stands_on_a_line_of_its_own() -> None:
    assert str(UserError("a=1: expected 2")) == "a=1: expected 2"
    assert str(UserError("a=1: expected 2", "set a=2")) == "a=1: expected 2\nhelp: set a=2"


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UserError, 2), (ConfigError, 2), (DataError, 2), (LockedError, 75), (RankError, 1),
     (LostRankError, 69)],
)  # fmt: skip
def test_errors_survive_pickling_with_their_exit_code(kind: type[UserError], code: int) -> None:
    error = kind("message", "help")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.message, copy.help, copy.exit_code) == ("message", "help", code)
    elsewhere = pickle.loads(pickle.dumps(ReportedElsewhere(error)))
    assert type(elsewhere) is ReportedElsewhere
    assert (str(elsewhere), elsewhere.exit_code) == (str(error), code)


def test_the_first_invalid_setting_is_reported() -> None:
    check_settings([Check("a", 1, True, "1"), Check("b", 2, True, "2")])
    checks = [Check("a", 1, True, "1"), Check("b", 3, False, "2 or less"), Check("c", 0, False, "")]
    with pytest.raises(ConfigError) as caught:
        check_settings(checks)
    assert caught.value.message == "b=3: expected 2 or less"


def test_a_suggestion_is_the_nearest_candidate_or_none() -> None:
    assert suggestion("psot", ["none", "post", "rms"]) == 'did you mean "post"?'
    assert suggestion("xyz", ["none", "post", "rms"]) is None
    assert suggestion("post", []) is None


def test_a_message_that_quotes_a_long_value_fits_on_a_screen() -> None:
    error = DataError("text=" + "a" * 3_000_000 + ": expected something else", "b" * 10_000)
    shown = str(error)
    assert len(shown) < 4000 and shown.startswith("text=aaa")
    assert "(3,000,030 characters)" in shown and ": expected something else\nhelp: bbb" in shown
    assert pickle.loads(pickle.dumps(error)).message == error.message, "nothing is lost"
    assert str(DataError("short", "help")) == "short\nhelp: help"
