"""Lists of overrides as they are typed."""

from __future__ import annotations

import pytest

from lmlab.errors import ConfigError
from lmlab.judge.overrides import plain_overrides


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], ()),
        (["[]"], ()),
        (["[a=1]"], ("a=1",)),
        (["a=1", "b=2"], ("a=1", "b=2")),
        (["[a=1, b=[2,3],c={d: 4, e: [5, 6]}]"], ("a=1", "b=[2,3]", "c={d: 4, e: [5, 6]}")),
        (["['a=1','b=\"x,y\"']"], ("a=1", 'b="x,y"')),
        (["[a=1]", "b=[1,2]"], ("a=1", "b=[1,2]")),
    ],
)
def test_lists_are_split_at_their_own_commas(typed: list[str], expected: tuple[str, ...]) -> None:
    assert plain_overrides(typed) == expected


@pytest.mark.parametrize("typed", ["[a=[1]", "[a='1]", "[a={b: 1]"])
def test_what_is_not_closed_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="closed brackets and quotes"):
        plain_overrides([typed])
