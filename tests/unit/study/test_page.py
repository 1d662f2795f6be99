"""The HTML of a page: the layout of verdicts on one scale, and escaping."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmlab.study.page import forest_layout, render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


def a_row(at: str, low: float, difference: float, high: float) -> dict[str, Any]:
    return {"at": at, "low": low, "difference": difference, "high": high}


def test_verdicts_share_a_scale_and_mark_values_beyond_it() -> None:
    own = [a_row("own", -0.03, 0.0, 0.03), a_row("own", 0.9, 1.0, 1.1), a_row("own", 0, 0.02, 9)]
    other = [a_row("other", -0.03, 0.0, 0.03), a_row("other", -0.04, -0.01, 0.02)]
    layout = forest_layout([*own, *other])
    assert [label for _, label in layout["ticks"]] == ["-0.05", "0", "+0.05"]
    near, far, wide = layout["rows"]["own"]
    assert layout["rows"]["other"][0] == near, "one scale for both tables"
    ends = layout["ticks"][0][0], layout["ticks"][-1][0]
    assert ends[0] < near["low"] < near["difference"] < near["high"] < ends[1]
    assert near["off"] == [] and wide["off"] == far["off"] == ["right"]
    assert far["difference"] is None and wide["difference"] is not None
    assert wide["high"] > ends[1]
    alike = forest_layout([a_row("own", low, 0.0, 0.04) for low in (-0.001, -0.002, -0.09)])
    assert [row["off"] for row in alike["rows"]["own"]] == [[], [], []], "no outliers"


@pytest.mark.parametrize(
    ("value", "limit"), [(0.011, 0.02), (0.02, 0.02), (0.0201, 0.05), (0.3, 0.5), (7.0, 10.0)]
)
def test_the_scale_ends_at_a_round_number(value: float, limit: float) -> None:
    layout = forest_layout([a_row("own", -value, 0.0, value)])
    assert layout["ticks"][-1][1] == f"{limit:+g}"
    assert layout["ticks"][-1][0] == 90, "40 percent right of the middle"


def test_data_in_the_page_is_that_of_the_content(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    page = render_page(content)
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert match is not None, "unsafe texts do not end the script element"
    assert not set("<>&\u2028") & set(match[1]), "no character that could end or open a tag"
    data = json.loads(match[1])
    for key in ("curves", "rates", "arms", "samples", "unit"):
        assert data[key] == content[key]


def test_only_a_search_has_a_chart_of_learning_rates(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    searched = render_page(content)
    assert 'id="rate-chart"' in searched and '<th class="n">lowest unstable lr</th>' in searched
    fixed = render_page(content | {"is_lr_searched": False})
    assert 'id="rate-chart"' not in fixed and "lowest unstable lr" not in fixed
    assert "This study did not search for learning rates." in fixed


def test_the_page_marks_the_unadjusted_p_value_of_the_replicate(finished_study: Path) -> None:
    page = render_page(build_content(load_study(finished_study)))
    assert page.count("not adjusted</small>") == 1
    assert "95% CI" in page
