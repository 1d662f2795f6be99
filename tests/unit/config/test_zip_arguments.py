"""The argument ``zip(...)`` becomes two axes of Hydra."""

from __future__ import annotations

import pytest

from lmlab.config.zip_arguments import as_overrides, is_zip
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("zip(optim.lr=1e-3:3e-3, training.steps=500:1000)",
         ["optim.lr=1e-3,3e-3", "training.steps=500,1000"]),
        ("zip(a=1,2,3, b=4,5,6)", ["a=1,2,3", "b=4,5,6"]),
        ("zip( a = 1:2 , +b.c=x:y )", ["a=1,2", "+b.c=x,y"]),
        ("zip(a=[1,2]:[3], b=${oc.env:X,1}:2)", ["a=[1,2],[3]", "b=${oc.env:X,1},2"]),
        ("zip(a='x:y, z':w, model/norm=rms:post)", ["a='x:y, z',w", "model/norm=rms,post"]),
        ("zip(a=range(1,3), b=3:4)", ["a=range(1,3)", "b=3,4"]),
    ],
)  # fmt: skip
def test_values_are_separated_by_colons_or_commas(argument: str, expected: list[str]) -> None:
    assert is_zip(argument)
    assert as_overrides(argument) == expected


@pytest.mark.parametrize("argument", ["zip(a=1:2)", "zip(1:2)", "zip()", "zip(a=1:, b=2:3)",
                                      "zip(a=1, b)", "zip(a=1:2, a=3:4)"])  # fmt: skip
def test_an_argument_that_zips_nothing_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError):
        print(as_overrides(argument))


@pytest.mark.parametrize("argument", ["a=zip", "zip=1", "a=tag(zip,choice(1,2))"])
def test_other_overrides_are_none(argument: str) -> None:
    assert not is_zip(argument)
