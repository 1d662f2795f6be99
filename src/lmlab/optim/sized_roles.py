"""Roles of parameters, their sizes, and what a width does to each: Yang et al. 2022, table 8.

A role is an input, a hidden matrix, a router, the output, or one number for all features. ``m``
stands for a size of a matrix relative to the base shape. No torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from lmlab.optim.groups import EMBEDDING, HIDDEN, VECTORS

INPUT, OUTPUT, ROUTER, SCALAR = "input", "output", "router", "scalar"
ADAMW, MUON, SGD = "adamw", "muon", "sgd"
FAMILIES = (ADAMW, MUON, SGD)
# Parameters of one number for all features, or one per layer: a scale of dynamic tanh, the mix of a
# residual, the factors of value embeddings. Patterns inside the blocks come first.
_SCALARS = ("blocks.*.alpha", "*.alpha", "residual.*", "embedding.scale")


@dataclasses.dataclass(frozen=True)
class Size:
    """Rows or columns of a matrix.

    Attributes:
        number: of rows or columns.
        ratio: of the number to that of the base shape.
    """

    number: float
    ratio: float

    @classmethod
    def of(cls, number: float, base: float) -> Size:
        """Compare a number with that of the base shape."""
        return cls(number, number / base)


_ONE = Size(1, 1.0)


@dataclasses.dataclass(frozen=True)
class SizedRole:
    """Parameters of one role and their size; of embedding, head and gains only the width counts.

    Attributes:
        pattern: of the names, as in :class:`lmlab.optim.groups.GroupRule`.
        kind: of the parameters, as in :func:`lmlab.optim.groups.parameter_kind`.
        role: ``input``, ``hidden``, ``router``, ``output``, or ``scalar``: one number for all
            features.
        rows: outputs of the matrix.
        columns: inputs of the matrix.
    """

    pattern: str
    kind: str
    role: str
    rows: Size
    columns: Size

    @property
    def in_block(self) -> bool:
        """Whether the parameters are inside the blocks."""
        return self.pattern.startswith("blocks.")


def sized_roles(*, width: Size, d_ff: Size, d_head: Size) -> Iterator[SizedRole]:
    """Yield the roles of all parameters; the first whose pattern and kind match applies.

    Args:
        width: D.
        d_ff: F.
        d_head: K.
    """
    yield SizedRole("head.weight", EMBEDDING, OUTPUT, _ONE, width)
    yield SizedRole("*", EMBEDDING, INPUT, _ONE, width)
    # The gradient of one number for all features is the sum over them, so that no width counts.
    for pattern in _SCALARS:
        yield SizedRole(pattern, VECTORS, SCALAR, _ONE, _ONE)
    yield SizedRole("blocks.*.[qk]_norm.weight", VECTORS, INPUT, _ONE, d_head)
    yield SizedRole("blocks.*", VECTORS, INPUT, _ONE, width)
    yield SizedRole("*", VECTORS, INPUT, _ONE, width)
    # One row stands for few experts, fewer than columns.
    yield SizedRole("blocks.*.router.weight", HIDDEN, ROUTER, _ONE, width)
    for name in ("gate", "up"):
        yield SizedRole(f"blocks.*.{name}.weight", HIDDEN, HIDDEN, d_ff, width)
    yield SizedRole("blocks.*.down.weight", HIDDEN, HIDDEN, width, d_ff)
    yield SizedRole("blocks.*", HIDDEN, HIDDEN, width, width)


def initial_factor(one: SizedRole) -> float:
    """Return what an initial standard deviation is multiplied by: Yang et al. 2022, tables 3, 8."""
    return one.columns.ratio ** {HIDDEN: -0.5, ROUTER: -1.0}.get(one.role, 0.0)


def lr_multiplier(family: str, one: SizedRole, adjust_lr: str) -> float:
    """Return the multiplier of a learning rate: Yang et al. 2022, table 8; for Muon see below.

    Args:
        family: ``adamw``, ``muon`` or ``sgd``: how a step depends on the gradient.
        one: role of the parameter.
        adjust_lr: ``optim.adjust_lr`` of Muon.
    """
    if family == SGD:
        is_hidden = one.role in (HIDDEN, ROUTER)
        return one.rows.ratio / one.columns.ratio if is_hidden else one.columns.ratio
    if one.role not in (HIDDEN, ROUTER):
        return 1.0
    if family == MUON:
        return muon_multiplier(
            (one.rows.number, one.columns.number), (one.rows.ratio, one.columns.ratio), adjust_lr
        )
    return 1 / one.columns.ratio


def muon_multiplier(
    sizes: tuple[float, float], ratios: tuple[float, float], adjust_lr: str
) -> float:
    """Return the multiplier of Muon's learning rate for a matrix inside the blocks.

    Features change by an amount that does not depend on the width if the spectral norm of an update
    is in proportion to sqrt(rows / columns): Yang, Simon and Bernstein 2023, condition 1. Muon's is
    its rate times sqrt(max(rows, columns)) with ``match_rms_adamw``, and times
    sqrt(max(1, rows / columns)) with ``original``. The multiplier is the quotient, relative to that
    of the base shape: 1 / sqrt(m) and 1 where both sizes have grown by m.

    Args:
        sizes: rows (outputs) and columns (inputs) of the matrix.
        ratios: the sizes relative to the base shape.
        adjust_lr: ``optim.adjust_lr``.
    """
    if ratios[0] == ratios[1]:  # exact at the base shape, and one group for all such matrices
        return ratios[0] ** -0.5 if adjust_lr == "match_rms_adamw" else 1.0

    def quotient(rows: float, columns: float) -> float:
        if adjust_lr == "match_rms_adamw":
            return math.sqrt(rows / columns / max(rows, columns))
        return math.sqrt(rows / columns / max(1.0, rows / columns))

    base = [size / ratio for size, ratio in zip(sizes, ratios, strict=True)]
    return quotient(*sizes) / quotient(*base)
