"""Costs of :mod:`lmlab.nn.ffn`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, SavedTensor
from lmlab.nn.ffn_width import auto_d_ff


def SwiGLU(*, d_model: int, d_ff: int | None) -> ComponentCounts:
    """Count three matrices; gate, SiLU of the gate, up projection and their product are saved."""
    return _gated(d_model, d_ff, ("gate", "silu of the gate", "up", "product"))


def GEGLU(*, d_model: int, d_ff: int | None) -> ComponentCounts:
    """Count three matrices; gate, GELU of the gate, up projection and their product are saved."""
    return _gated(d_model, d_ff, ("gate", "gelu of the gate", "up", "product"))


def ReGLU(*, d_model: int, d_ff: int | None) -> ComponentCounts:
    """Count three matrices; the rectified gate, up projection and their product are saved."""
    return _gated(d_model, d_ff, ("relu of the gate", "up", "product"))


def SiLU(*, d_model: int, d_ff: int | None) -> ComponentCounts:
    """Count two matrices; input and output of the activation are saved."""
    return _ungated(d_model, d_ff)


def GELU(*, d_model: int, d_ff: int | None) -> ComponentCounts:
    """Count two matrices; input and output of the activation are saved."""
    return _ungated(d_model, d_ff)


def ReLU2(*, d_model: int, d_ff: int | None) -> ComponentCounts:
    """Count two matrices; the rectified values and their squares are saved."""
    return _ungated(d_model, d_ff)


def _gated(d_model: int, d_ff: int | None, names: tuple[str, ...]) -> ComponentCounts:
    width = auto_d_ff(d_model, gated=True) if d_ff is None else d_ff
    return _counts(d_model, width, matrices=3, names=names)


def _ungated(d_model: int, d_ff: int | None) -> ComponentCounts:
    width = auto_d_ff(d_model, gated=False) if d_ff is None else d_ff
    return _counts(d_model, width, matrices=2, names=("up", "activation"))


def _counts(d_model: int, width: int, matrices: int, names: tuple[str, ...]) -> ComponentCounts:
    weights = matrices * d_model * width
    saved = tuple(SavedTensor(name, width) for name in names)
    layer_input = SavedTensor("feed-forward input", d_model)
    return ComponentCounts(
        parameters=weights,
        matmul_weights=weights,
        saved=(layer_input, *saved),
        textbook=(*saved, SavedTensor("down", d_model)),
        d_ff=width,
        shapes=(*[(width, d_model)] * (matrices - 1), (d_model, width)),
    )
