"""Changes that a study combines: lists of overrides, off and on."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.design.factor_levels import read_levels
from lmlab.errors import ConfigError


def test_one_list_is_on_and_two_are_off_and_on() -> None:
    levels = read_levels({"a": ["x=1", "y=2"], "b": [["z=1"], ["z=2"]], "c": [["v=1"], []]},
                         "changes", ("plain",))  # fmt: skip
    assert levels == {
        "a": ([], ["x=1", "y=2"]), "b": (["z=1"], ["z=2"]), "c": (["v=1"], []),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"plain": ["x=1"]}, "design.changes.plain: expected a name"),
        ({"a-b": ["x=1"]}, "expected a name of 1 to 24 letters"),
        ({"1a": ["x=1"]}, "starts with a letter"),
        ({"a": []}, "expected a list of overrides"),
        ({"a": "x=1"}, "expected a list of overrides"),
        ({"a": ["x=1", ["x=2"]]}, "expected a list of overrides"),
        ({"a": [["x=1"], ["x=2"], ["x=3"]]}, "expected a list of overrides"),
        ({"a": [[1], ["x=2"]]}, "expected a list of overrides"),
        ({"a": [["x=1"], ["x=1"]]}, "differ between off and on"),
        ({"a": ["x/y=1"], "b": [["x.y=2"], []]}, "a and b both set x.y"),
    ],
)
def test_what_cannot_be_combined_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_levels(given, "changes", ("plain",))
    assert caught.value.help
