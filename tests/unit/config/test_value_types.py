from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.value_types import accepts, describe_annotation, format_value


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("float", [1, 1.5, -2], ["1", True, None, [1.0]]),
        ("int", [1, -2], [1.5, "1", True, None]),
        ("bool", [True, False], [1, "true", None]),
        ("str", ["a"], [1, None, ["a"]]),
        ("int | None", [1, None], ["1", 1.5]),
        ("Optional[int]", [1, None], ["1", 1.5]),
        ("Union[int, str]", [1, "a"], [1.5, None]),
        ("str | list[str]", ["a", ["a", "b"]], [1, [1], None]),
        ("Sequence[float]", [[0.9, 1], []], ["ab", 0.9, [True], ["a"]]),
        ("tuple[float, float]", [[0.9, 1]], [[0.9], [0.9, 1, 2], ["a", "b"]]),
        ("tuple[int, ...]", [[1, 2, 3], []], [[1.5]]),
        ("Literal['a', 'b']", ["a", "b"], ["c", 1]),
        ("dict[str, int]", [{"a": 1}], [[1], "a"]),
        ("'int'", [1], ["a"]),
        ("typing.Sequence[int]", [[1]], [["a"]]),
        ("torch.Tensor", [1, "a", None], []),
        (None, [1, "a", None], []),
    ],
)
def test_a_value_matches_the_annotation_or_not(
    annotation: str | None, good: list[Any], bad: list[Any]
) -> None:
    assert [value for value in good if not accepts(annotation, value)] == []
    assert [value for value in bad if accepts(annotation, value)] == []


def test_annotations_are_described() -> None:
    annotations = [
        "float",
        "int | None",
        "str | list[str]",
        "'Sequence[float]'",
        "Path",
        "dict[str, int]",
        "a.B",
        None,
    ]
    assert [describe_annotation(annotation) for annotation in annotations] == [
        "a number", "an integer or null", "a string or a list of strings", "a list of numbers",
        "a path", "a mapping, {name: value}", "a.B", "Any",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (False, "false"), (1e-05, "1e-05"), ("a", "a"), ([1], "[1]")],
)
def test_a_value_is_printed_as_it_is_typed(value: Any, text: str) -> None:
    assert format_value(value) == text
