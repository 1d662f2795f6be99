"""The HTML of a page: its data, which sections it has, and escaping."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lmlab.study.page import STYLE, rate_chart, render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


def test_data_in_the_page_is_that_of_the_content(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    page = render_page(content)
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert match is not None, "unsafe texts do not end the script element"
    assert not set("<>&\u2028") & set(match[1]), "no character that could end or open a tag"
    data = json.loads(match[1])
    for key in ("curves", "train_curves", "rates", "arms", "samples", "unit"):
        assert data[key] == content[key]
    assert data["rate_chart"] == rate_chart(content)


def test_only_a_search_has_a_chart_of_learning_rates(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    searched = render_page(content)
    assert 'id="rate-chart"' in searched and '<th class="n">lowest unstable lr</th>' in searched
    note = "Each arm was trained at its configured learning rate."
    fixed = render_page(content | {"is_lr_searched": False, "rates_note": note})
    assert 'id="rate-chart"' not in fixed and "lowest unstable lr" not in fixed
    assert "Loss against learning rate" not in fixed, "a section without content vanishes"


def test_a_section_without_content_vanishes(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    full = render_page(content | {"limits": ["One limit."]})
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", full)
    assert {
        "Verdicts",
        "Learning curves",
        "Samples",
        "Runs without a final loss",
        "Limitations",
    } <= set(headings)
    keys = ("verdicts", "curves", "train_curves", "rates", "arms", "samples", "problems",
            "commands", "runs", "noise", "limits", "environment", "setup", "glossary")  # fmt: skip
    nothing: dict[str, list[str]] = {key: [] for key in keys}
    tables = {
        key: {"columns": [], "rows": [], "notes": []} for key in ("costs", "prediction_accuracy")
    }
    empty = render_page(content | nothing | tables)
    assert "<h2" not in empty and "<h3" not in empty


def test_the_axis_of_learning_rates_shows_every_loss(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    chart = rate_chart(content)
    assert chart is not None
    losses = [row["loss"] for row in content["rates"] if row["loss"] is not None]
    assert chart["low"] < min(losses) and max(losses) < chart["high"]
    assert len(chart["ticks"]) >= 4
    for arm in content["arms"]:
        if arm["edge"]:
            assert chart["stable"][arm["name"]][-1] == arm["edge"][0]
            assert chart["unstable"][arm["name"]][0] == arm["edge"][1]
    assert rate_chart(content | {"rates": []}) is None


def test_paper_has_the_light_theme() -> None:
    themes = re.findall(r"@media ([^{]*prefers-color-scheme: ?dark[^{]*)\{", STYLE)
    assert len(themes) == 2 and all(theme.startswith("screen and") for theme in themes)
    assert "@page" in STYLE and "size: A4" in STYLE


def test_the_page_marks_the_unadjusted_p_value_of_the_replicate(finished_study: Path) -> None:
    page = render_page(build_content(load_study(finished_study)))
    assert page.count("not adjusted</small>") == 1
    assert "<small>97.5%</small>" in page and "<small>95%</small>" in page
