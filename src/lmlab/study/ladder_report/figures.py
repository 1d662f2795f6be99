"""The figures of a ladder, by the names that the sections of its report have for them."""

from __future__ import annotations

from typing import Any, Protocol

from matplotlib.figure import Figure

from lmlab.study.ladder_report.gain_figure import draw_gains, draw_timed_gains
from lmlab.study.ladder_report.loss_figure import draw_losses
from lmlab.study.ladder_report.rates_figure import draw_rates_by_size
from lmlab.study.ladder_report.search_figure import draw_searches


class Draw(Protocol):
    """Draws a figure from the content of a report; None where it has nothing to show."""

    def __call__(self, content: dict[str, Any], narrow: bool = False) -> Figure | None:
        """Draw it, for a wide or a narrow screen."""


LADDER_FIGURES: dict[str, Draw] = {
    "gains": draw_gains,
    "loss_by_compute": draw_losses,
    "gains_by_seconds": draw_timed_gains,
    "rates_by_size": draw_rates_by_size,
    "searches": draw_searches,
}
