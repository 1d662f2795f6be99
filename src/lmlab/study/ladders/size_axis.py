"""The size that a ladder varies: what the drift of its best rates is a change per doubling of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lmlab.design.rungs import Rung

WIDTH, DEPTH, PARAMETERS = "width", "depth", "parameters in blocks"


@dataclasses.dataclass(frozen=True)
class SizeAxis:
    """A size of the rungs.

    Attributes:
        name: ``width``, ``depth`` or ``parameters in blocks``.
        sizes: of the rungs, from the lowest.
    """

    name: str
    sizes: Sequence[float]

    @property
    def doubling(self) -> str:
        """What is doubled, as a phrase: ``the width``."""
        return f"the {self.name}"

    @property
    def phrase(self) -> str:
        """The doubling as a clause: ``the width doubles``."""
        return f"{self.doubling} {'double' if self.name == PARAMETERS else 'doubles'}"

    @property
    def label(self) -> str:
        """The size as the label of an axis, with its key where there is one."""
        keys = {WIDTH: "width (model.d_model)", DEPTH: "depth (model.num_layers)"}
        return keys.get(self.name, self.name)


def size_axis(rungs: Sequence[Rung]) -> SizeAxis:
    """Return the size that the rungs of a ladder vary.

    Width, where all have one depth; depth, where all have one width; otherwise the parameters in
    blocks. Rungs that differ in the parameters in blocks for another reason, such as ``d_ff``, have
    no width or depth that stands for their size.

    Args:
        rungs: of the ladder, from the lowest.
    """
    parameters = [float(rung.hidden_parameters) for rung in rungs]
    widths = [float(rung.d_model) for rung in rungs]
    depths = [float(rung.num_layers) for rung in rungs]
    for name, sizes, others in ((WIDTH, widths, depths), (DEPTH, depths, widths)):
        if len(set(others)) == 1 and len(set(sizes)) == len(set(parameters)) > 1:
            return SizeAxis(name, sizes)
    return SizeAxis(PARAMETERS, parameters)
