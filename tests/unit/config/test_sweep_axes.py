"""The jobs of a multirun: exact ranges, zipped axes, and nothing dropped silently."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.config.sweep_axes import axis_values, expand_jobs, parse, require_separate_axes
from lmlab.errors import ConfigError


def jobs(*typed: str, zipped: tuple[str, ...] = (), params: tuple[str, ...] = ()) -> list[str]:
    expanded = expand_jobs(parse(params, None), parse(typed, None, zipped))
    return [" ".join(job) for job in expanded]


def values(text: str) -> list[str]:
    (override,) = parse([f"a={text}"], None)
    return axis_values(override)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("range(0.3,0.9,0.3)", ["0.3", "0.6"]),
        ("range(0,1,0.1)", [f"0.{n}" for n in range(10)]),
        ("range(1e-4,5e-4,1e-4)", ["0.0001", "0.0002", "0.0003", "0.0004"]),
        ("range(0.9,0.3,-0.3)", ["0.9", "0.6"]),
        ("range(1,3,0.5)", ["1.0", "1.5", "2.0", "2.5"]),
        ("range(1,10,4)", ["1", "5", "9"]),
        ("range(3)", ["0", "1", "2"]),
        ("sort(range(1,10,4),reverse=true)", ["9", "5", "1"]),
        ("sort(range(10,1,-4))", ["2", "6", "10"]),
        ("sort(range(0.9,0.2,-0.3))", ["0.3", "0.6", "0.9"]),
        ("sort(3,1,2)", ["1", "2", "3"]),
        ("float(range(1,3))", ["1.0", "2.0"]),
        ("int(range(0.5,3.5))", ["0", "1", "2"]),
        ("1e-3,0.001,1", ["0.001", "1"]),
        ("null,'a, b',[1,2]", ["null", "'a, b'", "[1,2]"]),
        ("${oc.env:LR,1e-3},2", ["${oc.env:LR,1e-3}", "2"]),
    ],
)
def test_the_values_of_an_axis(text: str, expected: list[str]) -> None:
    assert values(text) == expected


def decimals(least: str, most: str) -> st.SearchStrategy[Fraction]:
    """Decimal numbers with up to four digits after the point."""
    bounds = int(Fraction(least) * 10_000), int(Fraction(most) * 10_000)
    return st.integers(*bounds).map(lambda n: Fraction(n, 10_000))


@settings(max_examples=100, deadline=None)
@given(decimals("-2", "2"), decimals("-2", "2"), decimals("0.05", "1"), st.booleans())
def test_a_range_is_that_of_exact_arithmetic(
    start: Fraction, stop: Fraction, step: Fraction, is_descending: bool
) -> None:
    if is_descending:
        start, stop, step = -start, -stop, -step
    expected, value = [], start
    while value < stop if step > 0 else value > stop:
        expected.append(value)
        value += step
    if not expected:
        return
    # The written form always has a point, so that Hydra reads floats.
    text = ",".join(f"{float(number):.4f}" for number in (start, stop, step))
    assert [Fraction(found) for found in values(f"range({text})")] == expected


def test_a_shuffled_axis_has_the_same_values_in_an_order_that_a_rerun_repeats() -> None:
    shuffled = values("shuffle(range(0.1,1.0,0.1))")
    assert sorted(shuffled) == [f"0.{n}" for n in range(1, 10)]
    assert shuffled == values("shuffle(range(0.1,1.0,0.1))") != sorted(shuffled)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("range(5,1)", "expected at least one value"),
        ("range(1,2,0)", "a step other than 0"),
        ("range(0,inf)", "expected finite numbers"),
        ("range(0,1e9)", "expected at most"),
        ("interval(0,1)", "an interval has no list of values"),
    ],
)
def test_an_axis_without_a_finite_list_of_values_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        values(text)


def test_zipped_axes_advance_together_and_multiply_with_others() -> None:
    assert jobs("seed=0,1", zipped=("zip(a=1:2, b=x:y)",)) == [
        "seed=0 a=1 b=x", "seed=0 a=2 b=y", "seed=1 a=1 b=x", "seed=1 a=2 b=y",
    ]  # fmt: skip
    assert jobs("a=tag(zip,choice(1,1))", "b=tag(zip,range(2))", "c=float(tag(zip,range(2)))") == [
        "a=1 b=0 c=0.0", "a=1 b=1 c=1.0",
    ]  # fmt: skip
    both = jobs(zipped=("zip(a=1:2, b=3:4)", "zip(c=5:6, d=range(7,9))"))
    assert both[0] == "a=1 b=3 c=5 d=7" and both[-1] == "a=2 b=4 c=6 d=8" and len(both) == 4


def test_zipped_axes_of_different_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="found 2 of a, 3 of b"):
        jobs(zipped=("zip(a=1:2, b=3:4:5)",))


@pytest.mark.parametrize(
    ("typed", "zipped"),
    [
        (["a=1,2", "a=3,4"], []),
        (["a=1,2", "+a=3"], []),
        (["m/n=1,2", "m.n=3"], []),
        (["a=1,2"], ["zip(a=1:2,b=3:4)"]),
        (["a=1"], ["zip(a=1:2,b=3:4)"]),
        ([], ["zip(a=1:2,b=3:4)", "zip(a=1:2,c=3:4)"]),
    ],
)
def test_an_axis_that_would_be_dropped_is_refused(typed: list[str], zipped: list[str]) -> None:
    with pytest.raises(ConfigError, match="already sweeps over"):
        require_separate_axes(parse(typed, None, zipped))


@pytest.mark.parametrize("text", ["{_target_: a.B},post", "post,{_target_: a.B},rms"])
def test_a_mapping_among_options_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a sweep cannot mix a mapping with options") as caught:
        jobs(f"model.norm={text}")
    assert "model/norm/mine.yaml" in str(caught.value.help)


def test_the_command_line_replaces_the_parameters_of_a_file() -> None:
    assert jobs("a=5", params=("a=1,2", "b=1,2")) == ["a=5 b=1", "a=5 b=2"]
    assert jobs("+a=5", params=("a=1,2",)) == ["+a=5"]
    assert jobs("a=1", "a=2,3") == ["a=2", "a=3"]


def test_an_override_that_is_no_sweep_stays_as_it_was() -> None:
    assert jobs("~optim.eps", "+b=", "c={x:1}", "d='1e-3'") == ["~optim.eps +b= c={x:1} d='1e-3'"]


def test_too_many_jobs_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 100000 jobs"):
        jobs("a=range(1000)", "b=range(1000)")
