"""Counts of :mod:`lmlab.nn.norm`. No torch."""

from __future__ import annotations

from lmlab.nn.counts import Counts, Kind, SavedTensor


def rms_norm(size: int, groups: int = 1) -> tuple[SavedTensor, ...]:
    """What ``groups`` RMSNorms over ``size`` features keep for each token.

    A CPU keeps the normalised values besides, since torch composes the operation there.
    """
    return (
        SavedTensor("norm input", groups * size, Kind.FLOAT32),
        SavedTensor("norm root", groups, Kind.FLOAT32),
        SavedTensor("norm result before its gain", groups * size, Kind.FLOAT32, cpu_only=True),
    )


def _rms(d_model: int) -> Counts:
    return Counts(d_model, saved=rms_norm(d_model), textbook=(SavedTensor("norm", d_model),))


def _layer(d_model: int) -> Counts:
    held = (
        SavedTensor("norm input", d_model, Kind.FLOAT32),
        SavedTensor("norm mean and deviation", 2, Kind.FLOAT32),
    )
    return Counts(d_model, saved=held, textbook=(SavedTensor("norm", d_model),))


class PreRMSNorm:
    """RMSNorm before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        del eps

    def wrap(self, d_model: int) -> Counts:
        """Counts of a residual branch, without its sublayer's."""
        return _rms(d_model)

    def final(self, d_model: int) -> Counts:
        """Counts of what stands before the head."""
        return _rms(d_model)


class PostRMSNorm(PreRMSNorm):
    """RMSNorm after each residual sum."""

    def final(self, d_model: int) -> Counts:
        """Nothing more stands before the head."""
        return Counts()


class PreLayerNorm:
    """LayerNorm before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        del eps

    def wrap(self, d_model: int) -> Counts:
        """Counts of a residual branch, without its sublayer's."""
        return _layer(d_model)

    def final(self, d_model: int) -> Counts:
        """Counts of what stands before the head."""
        return _layer(d_model)


class NoNorm:
    """No normalisation anywhere."""

    def wrap(self, d_model: int) -> Counts:
        """Nothing."""
        return Counts()

    def final(self, d_model: int) -> Counts:
        """Nothing."""
        return Counts()
