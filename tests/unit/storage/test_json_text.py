"""JSON that strict readers accept, and that gives back every number."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from lmlab.storage.json_text import dump_json, load_json


def strict(text: str) -> Any:
    """Parse as RFC 8259 says: ``NaN`` and ``Infinity`` are errors."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


NONFINITE = [
    {"loss": math.nan, "step": 3},
    {"a": math.inf, "b": -math.inf, "c": {"d": math.nan, "e": [1.0, math.inf, [math.nan]]}},
    {"rows": [{"loss": math.inf}, {"loss": 1.5}]},
]


@pytest.mark.parametrize("value", NONFINITE)
def test_numbers_that_are_not_finite_come_back_from_strict_json(value: dict[str, Any]) -> None:
    text = dump_json(value)
    strict(text)
    assert repr(load_json(text)) == repr(value)


def test_the_object_says_which_number_null_stands_for() -> None:
    written = strict(dump_json({"loss": math.nan, "grad_norm": math.inf, "step": 1}))
    assert written == {
        "loss": None,
        "grad_norm": None,
        "step": 1,
        "nonfinite": {"loss": "nan", "grad_norm": "inf"},
    }
    assert strict(dump_json({"loss": math.nan}, mark_nonfinite=False)) == {"loss": None}
    assert strict(dump_json([math.nan, 1])) == [None, 1]


@pytest.mark.parametrize(
    "value", [{"nonfinite": "a setting of this name"}, {"nonfinite": {"x": "nan"}}, {"a": None}]
)
def test_other_content_is_unchanged(value: dict[str, Any]) -> None:
    assert load_json(dump_json(value)) == value


def test_files_of_earlier_versions_can_be_read() -> None:
    old = load_json('{"loss": NaN, "grad_norm": Infinity, "step": 1}')
    assert math.isnan(old["loss"])
    assert old["grad_norm"] == math.inf
