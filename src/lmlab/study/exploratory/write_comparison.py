"""Compare two groups of runs, and write the page, Markdown, figures and JSON."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.errors import ConfigError
from lmlab.storage.io import atomic_write_text, make_folder
from lmlab.storage.json_text import dump_json
from lmlab.study.exploratory.comparability import check_comparable, design_of
from lmlab.study.exploratory.comparison_content import build_comparison
from lmlab.study.exploratory.group_verdict import judge_groups
from lmlab.study.exploratory.run_group import RunGroup, read_group
from lmlab.study.figure_style import FORMATS, save, themed_svg
from lmlab.study.figures import draw_curves, draw_verdicts
from lmlab.study.markdown import section_lines, table_lines
from lmlab.study.markdown_wrap import wrap_markdown
from lmlab.study.named_runs import find_run_folders
from lmlab.study.page import render_template
from lmlab.study.plain_text import code_block, paragraph

_FIGURES = {"verdicts": draw_verdicts, "curves": draw_curves}
_FILES = [("Markdown", "comparison.md"), ("JSON", "comparison.json")]
_LONGEST_NAME = 40


@dataclasses.dataclass(frozen=True)
class Choices:
    """How to compare.

    Attributes:
        margin: largest difference that counts as none, in the unit of the metric; 0: none does.
        alpha: level of the test.
        test: ``auto``, ``t`` or ``sign_flips``, for runs of equal seeds.
        allow: of :data:`~lmlab.study.exploratory.comparability.NEEDED`.
    """

    margin: float = 0.0
    alpha: float = 0.05
    test: str = "auto"
    allow: tuple[str, ...] = ()


def compare_runs(first: str, second: str, choices: Choices) -> dict[str, Any]:
    """Compare the runs that two paths or globs name; the first ones are the reference.

    Returns:
        The content; see :func:`lmlab.study.exploratory.comparison_content.build_comparison`.

    Raises:
        NotComparable: their losses have no common meaning.
        ConfigError: a group has several configurations, or both have a run in common.
        DataError: a group has no finished run.
    """
    a, b = (
        read_group(name, find_run_folders([path])) for name, path in (("A", first), ("B", second))
    )
    twice = {record.folder for record in a.records} & {record.folder for record in b.records}
    if twice:
        raise ConfigError(f"{min(twice)}: expected in one group only, found in A and B",
                          "name two groups of different runs")  # fmt: skip
    design = design_of(
        a, b, margin=choices.margin, alpha=choices.alpha, test=choices.test, allow=choices.allow
    )
    differences = check_comparable(a, b, design)
    a, b = (group.with_metric(design.metric) for group in (a, b))
    content = build_comparison(a, b, judge_groups(a, b, design), design, differences)
    return content | {"folder": _folder(a, b)}


def _folder(a: RunGroup, b: RunGroup) -> Path:
    """Return the folder of the report: beside the studies of the reference, named by both arms."""
    root = Path(a.records[0].folder).parents[2]
    names = [re.sub(r"[^\w.+-]", "-", group.arm)[:_LONGEST_NAME] for group in (b, a)]
    return root / "comparisons" / "-against-".join(names)


def write_comparison(content: dict[str, Any], target: Path | None = None) -> list[str]:
    """Write ``comparison.html``, ``comparison.md``, ``comparison.json`` and the figures.

    Args:
        content: of :func:`compare_runs`.
        target: folder of the files; None for ``comparisons/B-against-A`` in the output folder.

    Returns:
        Lines to print: the headline, the commands for further seeds, and the path of the page.
    """
    target = target or content["folder"]
    make_folder(target)
    charts, figures = {}, []
    for name, draw in _FIGURES.items():
        figure = draw(content | {"title": content["figure_title"]})
        if figure is not None:
            charts[name] = {"any": themed_svg(figure)}
            figures += [path.name for path in save(figure, target / name, FORMATS)]
    html = render_template("comparison.html", content=content, section_charts=charts, files=_FILES)
    atomic_write_text(target / "comparison.html", html)
    text = wrap_markdown("\n".join(_markdown(content, figures)))
    atomic_write_text(target / "comparison.md", text)
    atomic_write_text(target / "comparison.json", dump_json(content["result"], indent=1) + "\n")
    page = f"comparison: {target / 'comparison.html'}"
    return [*content["headline"], *(f"  {line}" for line in content["commands"]), page]


def _markdown(content: dict[str, Any], figures: list[str]) -> Iterator[str]:
    yield f"# {paragraph(content['title'])}\n"
    yield "An exploratory comparison of runs that no study planned.\n"
    yield from (f"- {paragraph(line)}" for line in content["headline"])
    yield ""
    if content["commands"]:
        yield "For a verdict, train further seeds:\n"
        yield code_block("\n".join(content["commands"])) + "\n"
    yield from section_lines(content["sections"], figures)
    yield "## Terms\n"
    yield from table_lines(["term", "meaning"], content["terms"])
