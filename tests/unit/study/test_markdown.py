"""Markdown tables: escaping, columns, and what an empty report leaves out."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.table import Table

from lmlab.console.stdout import stdout_console
from lmlab.study.csv_tables import render_csv, render_sweep_csv
from lmlab.study.markdown import (
    render_markdown,
    table_lines,
)
from lmlab.study.markdown_wrap import wrap_markdown
from lmlab.study.page import render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(finished_study: Path) -> dict[str, Any]:
    return build_content(load_study(finished_study))


def table_after(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    lines = text.partition(f"{heading}\n")[2].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize(
    ("cell", "written"),
    [("a|b", "a\\|b"), ("two\nlines", "two lines"), ("<b>", "&lt;b>"), ("  x ", "x"), ("", "")],
)
def test_a_cell_cannot_break_its_table(cell: str, written: str) -> None:
    lines = list(table_lines(["one", "two"], [[cell, "y"]]))
    assert lines == ["| one | two |", "|---|---|", f"| {written} | y |", ""]


def test_verdicts_have_a_table_for_each_rate(content: dict[str, Any]) -> None:
    text = render_markdown(content, [])
    own = table_after(text, "Each arm at its own best learning rate:")
    heading = "Each arm at the baseline's learning rate (descriptive, no verdicts):"
    baseline = table_after(text, heading)
    assert [row[0] for row in own] == ["arm", "---", "rms", "post", "none", "again"]
    assert [row[0] for row in baseline] == ["arm", "---", "rms (baseline)", "post", "none"]
    assert baseline[0] == own[0][:7], "neither p-value nor verdict"
    row = next(row for row in content["verdicts"] if row["arm"] == "post")
    cells = dict(zip(own[0], own[3], strict=True))
    assert cells["difference"] == f"{row['difference']:+.4f}"
    # The clearer of two arms is tested at 5% / 2, the other one at 5%.
    assert row["confidence"] in ("97.5%", "95%")
    assert cells["interval"] == f"{row['confidence']}: [{row['low']:+.4f}, {row['high']:+.4f}]"
    least = min(abs(row["low"]), abs(row["high"]))
    assert cells["verdict"] == f"**worse**, by {least:.4f} or more"
    unadjusted = [row[0] for row in own if "not adjusted" in row[own[0].index("adjusted p")]]
    assert unadjusted == ["again"], "the replicate is outside the family"


def test_a_descriptive_table_says_why_an_arm_has_no_difference(content: dict[str, Any]) -> None:
    lost = [
        row | {"verdict": "diverged", "shown_verdict": "diverged", "detail": " with 1 of 5 seeds"}
        if (row["arm"], row["at"]) == ("post", "baseline's lr")
        else row
        for row in content["verdicts"]
    ]
    heading = "Each arm at the baseline's learning rate (descriptive, no verdicts):"
    rows = table_after(render_markdown(content | {"verdicts": lost}, []), heading)
    assert [row[-1] for row in rows] == ["note", "---", "", "diverged with 1 of 5 seeds", ""]
    page = render_page(content | {"verdicts": lost})
    assert '<td class="outcome">diverged with 1 of 5 seeds</td>' in page
    plain = render_page(content)
    tables = re.findall(r'<table class="verdicts cards">.*?</table>', plain, flags=re.DOTALL)
    assert [one.count("<th>verdict</th>") + one.count(">adjusted p<") for one in tables] == [2, 0]
    assert len({row.count("<t") for row in re.findall("<tr.*?</tr>", tables[1], re.DOTALL)}) == 1


def test_searched_arms_show_the_rates_on_both_sides_of_the_edge(content: dict[str, Any]) -> None:
    header, _, rms, *others = table_after(render_markdown(content, []), "## Learning rates")
    assert header[:4] == ["arm", "best peak lr", "highest stable lr", "lowest unstable lr"]
    assert header[4:] == ["evidence"]
    edge = content["arms"][0]["edge"]
    assert rms[0] == "rms" and rms[2:4] == [f"{rate:g}" for rate in edge]
    assert others[-1][0] == "again" and others[-1][2:] == ["", "", ""]


def test_configured_rates_are_not_called_best(content: dict[str, Any]) -> None:
    text = render_markdown(content | {"is_lr_searched": False}, [])
    assert table_after(text, "## Learning rates")[0] == ["arm", "peak lr"]


def test_tokens_to_match_have_a_column_only_where_there_are_some(content: dict[str, Any]) -> None:
    none = [row | {"tokens_to_match": ""} for row in content["verdicts"]]
    assert "tokens to match" not in render_markdown(content | {"verdicts": none}, [])
    one = [none[0] | {"tokens_to_match": "half of the tokens"}, *none[1:]]
    text = render_markdown(content | {"verdicts": one}, [])
    assert text.count("tokens to match") == 1
    assert "half of the tokens |" in text


def test_sections_without_content_are_left_out(content: dict[str, Any]) -> None:
    empty = content | {
        "verdicts": [], "arms": [], "costs": {"rows": []}, "noise": [], "problems": [],
        "commands": [], "limits": [], "environment": [], "counts": {}, "headline": [],
        "prediction_accuracy": {"rows": []}, "setup": [], "glossary": [],
    }  # fmt: skip
    assert render_markdown(empty, []) == "# norms\n\nWhich one?\n\n\nRuns: none.\n"


def test_every_section_has_its_heading(content: dict[str, Any]) -> None:
    text = render_markdown(content, ["curves.png"])
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Verdicts", "## Learning rates", "## Setup", "## Cost and data of the arms",
        "## Configuration of the arms", "## Noise and decision rule",
        "## Runs without a final loss", "## Commands", "## Limitations", "## Glossary",
        "## Environment",
    ]  # fmt: skip
    assert "![curves](curves.png)" in text


def test_wrapping_keeps_the_words_and_makes_no_list() -> None:
    sentence = " ".join(f"word{number} - {number}. item" for number in range(40))
    for text in (sentence, f"- {sentence}"):
        wrapped = wrap_markdown(text, width=60)
        assert wrapped.split() == text.split()
        first, *rest = wrapped.split("\n")
        assert len(rest) > 5 and max(map(len, (first, *rest))) <= 60
        assert all(line.startswith("  ") == text.startswith("- ") for line in rest)
        assert not any(re.match(r"\s*([-+*]|\d+\.) ", line) for line in rest)


def test_wrapping_leaves_tables_code_headings_and_images_alone() -> None:
    lines = [f"{start}{'x ' * 80}" for start in ("| ", "    ", "# ", "![a](", "|---|")]
    assert wrap_markdown("\n".join(lines)) == "\n".join(lines)


def test_names_and_notes_of_others_are_text_in_every_form(
    content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """One hostile name in every place of a report that holds a text of the user."""
    name = "=[bold]x[/bold] <i>y</i> [z](https://example.org) | w"

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(inner) for inner in value]
        return name if value == "post" else value

    hostile = renamed(content) | {"title": name, "question": name, "headline": [name]}
    hostile["annotations"] = [{"arm": name, "seeds": "1", "notes": name, "tags": name}]
    hostile["limits"] = hostile["noise"] = [f"about {name}", name]
    hostile["sweep"] = {
        "keys": [name],
        "rows": [
            {"arm": name, "values": [name], "mean": 1.0, "sd": None, "seeds": 1, "status": "done"}
        ],
    }
    text = render_markdown(hostile, [])
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    children = [child for token in tokens for child in token.children or []]
    assert sum("[z](https://example.org)" in joined(token) for token in tokens) >= 10
    assert not [child for child in children if child.type in ("link_open", "html_inline")]
    assert "html_block" not in [token.type for token in tokens]
    widths = [len(re.findall(r"(?<!\\\\)\\|", line)) for line in text.splitlines() if "|" in line]
    assert "<i>" not in re.sub(r"(?m)^    .*$", "", text) and min(widths) > 1
    for rendered in (render_csv(hostile), render_sweep_csv(hostile)):
        cells = [cell for row in csv.reader(io.StringIO(rendered)) for cell in row]
        assert f"'{name}" in cells and not [cell for cell in cells if cell.startswith("=")]
    console = stdout_console(300)
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    console.print(table)
    console.print(name)
    assert capsys.readouterr().out.count("[bold]x[/bold]") == 4


def joined(token: Any) -> str:
    return "".join(child.content for child in token.children or [])
