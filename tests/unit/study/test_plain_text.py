"""Names and notes of other people are shown as written in Markdown, CSV and on the terminal."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from lmlab.study.plain_text import Markdown, cell, csv_cell, fenced, inline, paragraph

HOSTILE = [
    "<script>marker()</script>",
    "<img src=x onerror=marker()>",
    "[click](https://example.org)",
    "![image](https://example.org/x.png)",
    "[click][ref] and [ref]: https://example.org",
    "a [nested [link](x)](https://example.org)",
    "[a]\n(https://example.org)",
    "[ref]: https://example.org",
    "\\[click](https://example.org)",
    "\\\\[click](https://example.org)",
    "<https://example.org>",
    "&lt;b&gt; &#x41; &copy",
    "# heading",
    "- item",
    "+ item",
    "> quote",
    "1. item",
    "2) item",
    "--- \n===",
    "~~~ fence",
    "```\nfence",
    "`code`",
    "**bold** *it* __b__ _i_",
    "a | b | c",
    "a \\| b",
    "first\n\n# second",
    "    code",
    "\tcode",
    "| a | b |\n|---|---|\n| c | d |",
    "[x] 95 %: [-0.1, 0.2]",
    "lr_search 2 * 3 a-b",
]


def text_of(tokens: Any) -> str:
    return "".join(token.content for token in tokens if token.type in ("text", "text_special"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_markdown_reader_shows_the_text_itself(text: str) -> None:
    """markdown-it, a reader of its own, finds one paragraph or cell of the same text in it."""
    shown = " ".join(text.split())
    parser = MarkdownIt("commonmark").enable("table")
    kinds = [token.type for token in parser.parse(paragraph(text))]
    assert kinds == ["paragraph_open", "inline", "paragraph_close"]
    item = parser.parse(f"- {paragraph(text)}")
    assert [token.type for token in item][2:5] == ["paragraph_open", "inline", "paragraph_close"]
    table = parser.parse(f"| name | other |\n|---|---|\n| {cell(text)} | last |\n")
    cells = [token for token in table if token.type == "inline"]
    assert len(cells) == 4 and cells[3].content == "last"
    for token in (parser.parse(paragraph(text))[1], item[3], cells[2]):
        children = token.children or []
        assert {child.type for child in children} <= {"text", "text_special"}
        assert text_of(children) == shown
    heading = parser.parse(f"# {inline(text)}")
    assert heading[0].type == "heading_open" and text_of(heading[1].children) == shown.strip()


def test_text_that_is_markdown_already_is_not_escaped_again() -> None:
    assert inline(Markdown("**worse** [a](b)")) == "**worse** [a](b)"
    assert inline(inline("[a](b)")) == inline("[a](b)")
    assert inline("lr_search: 95 %: [-0.1, 0.2], 6 * N") == "lr_search: 95 %: [-0.1, 0.2], 6 * N"


@pytest.mark.parametrize("text", ["a", "```\n# x", "````", "a\n`````\nb"])
def test_a_fence_is_longer_than_any_in_the_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(fenced(text))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content == f"{text}\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "|", "%"])
def test_a_cell_of_a_spreadsheet_is_text(start: str) -> None:
    assert csv_cell(f"{start}1+1") == f"'{start}1+1"
    assert csv_cell(f"{start}cmd|' /C'!A0") == f"'{start}cmd|' /C'!A0"


@pytest.mark.parametrize("value", ["a=b", "", "-1", "+2.5e-3", "-.5", "1e-3", -1.5, None, 3])
def test_other_cells_and_numbers_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) == value


def test_the_escapes_are_those_of_html_where_they_must_be() -> None:
    assert html.unescape(inline("<b>")) == "<b>"
    assert not re.search(r"<", inline("<b> < 3"))
