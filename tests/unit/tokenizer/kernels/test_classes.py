"""The frozen classes of characters are those of ``regex``."""

from __future__ import annotations

import regex

from lmlab.tokenizer.kernels import classes


def test_classes_are_those_of_regex() -> None:
    assert classes.table_of_regex() == classes.TABLE
    assert regex.__version__ == classes.MADE_BY_REGEX, "where the table is the same: name it too"
