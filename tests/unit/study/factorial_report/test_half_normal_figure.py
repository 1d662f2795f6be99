"""The half-normal plot: every effect by size, compressed where one is much larger."""

from __future__ import annotations

from typing import Any

import numpy as np
from factorial_studies import FACTORS, a_factorial, a_loss, a_study

from lmlab.study.factorial_report.factorial_content import build_factorial
from lmlab.study.factorial_report.half_normal_figure import draw_half_normal


def content(loss: Any = None, **changes: Any) -> dict[str, Any]:
    factorial = build_factorial(a_study(a_factorial(**changes), loss))
    return {"factorial": factorial, "title": "f", "unit": "nats per token"}


def test_points_are_the_sizes_of_all_effects_in_ascending_order() -> None:
    shown = content()
    figure = draw_half_normal(shown)
    assert figure is not None
    axes = figure.axes[0]
    points = [line for line in axes.lines if line.get_marker() in ("o", "s", "^")]
    sizes = [float(line.get_ydata()[0]) for line in points]
    expected = sorted(abs(row["estimate"]) for row in shown["factorial"]["effects"])
    assert np.allclose(sizes, expected)
    assert axes.get_yscale() == "symlog"
    named = [text.get_text() for text in axes.texts]
    assert any(name.startswith("a x b") for name in named)


def test_noise_alone_has_a_linear_axis() -> None:
    figure = draw_half_normal(content(a_loss(lambda on: 3.0, lambda on: 3e-3)))
    assert figure is not None and figure.axes[0].get_yscale() == "linear"


def test_few_effects_have_no_plot() -> None:
    assert draw_half_normal(content(factors={name: FACTORS[name] for name in "ab"})) is None
    assert draw_half_normal({"factorial": None, "title": "f", "unit": ""}) is None
