"""The figures of a factorial study, by the names that the sections of its report have for them."""

from __future__ import annotations

from lmlab.study.factorial_report.effect_figure import draw_effects
from lmlab.study.factorial_report.half_normal_figure import draw_half_normal
from lmlab.study.factorial_report.interaction_figure import draw_interactions
from lmlab.study.ladder_report.figures import Draw

FACTORIAL_FIGURES: dict[str, Draw] = {
    "effects": draw_effects,
    "interactions": draw_interactions,
    "half_normal": draw_half_normal,
}
