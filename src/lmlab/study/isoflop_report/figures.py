"""The figures of an isoFLOP study, by the names that the sections of its report have for them."""

from __future__ import annotations

from lmlab.study.isoflop_report.loss_by_size_figure import draw_losses_by_size
from lmlab.study.isoflop_report.optimum_figure import draw_optima
from lmlab.study.ladder_report.figures import Draw

ISOFLOP_FIGURES: dict[str, Draw] = {
    "loss_by_size": draw_losses_by_size,
    "optima_by_compute": draw_optima,
}
