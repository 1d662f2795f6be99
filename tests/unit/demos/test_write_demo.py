"""Files of a demo: reproducible bytes and escaped text."""

from __future__ import annotations

from pathlib import Path

from lmlab.demos import Demo, Section
from lmlab.demos.write_demo import write_demo
from lmlab.study.figure_style import new_figure


def a_demo() -> Demo:
    figure = new_figure(3, 2)
    figure.add_subplot().plot([1, 2, 3], [4, 2, 1])
    table = Section("Table", ["Text."], ["a", "b"], [["1", "2"]], figure=("losses", figure))
    return Demo("bowl", "Which way?", [table], ["One bowl."])


def test_the_same_demo_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_demo(a_demo(), tmp_path / name, "a command")
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == [
        "exhibit.json", "losses.pdf", "losses.png", "losses.svg", "report.html", "report.json",
        "report.md",
    ]  # fmt: skip
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_html_and_table_characters_are_escaped(tmp_path: Path) -> None:
    odd = "<b>|</b>\nline"
    demo = Demo("odd", odd, [Section(odd, [odd], [odd], [[odd]], [(odd, odd)])], [odd])
    markdown, page, _ = write_demo(demo, tmp_path, odd)
    assert "<b>" not in page.read_text("utf-8")
    table = [line for line in markdown.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(table) == 2, "a cell stays in its row"
