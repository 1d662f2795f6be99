"""The figures that sections of a report name: of ladders, factorial studies and others."""

from __future__ import annotations

from lmlab.study.factorial_report.figures import FACTORIAL_FIGURES
from lmlab.study.isoflop_report.figures import ISOFLOP_FIGURES
from lmlab.study.ladder_report.figures import LADDER_FIGURES, Draw
from lmlab.study.stack_report.stack_figure import draw_stack

SECTION_FIGURES: dict[str, Draw] = {
    **LADDER_FIGURES, **ISOFLOP_FIGURES, **FACTORIAL_FIGURES, "stack": draw_stack,
}  # fmt: skip
