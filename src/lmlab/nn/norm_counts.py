"""Costs of :mod:`lmlab.nn.norm`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor


def rms_norm(size: int, groups: int = 1) -> tuple[SavedTensor, ...]:
    """Return the tensors that ``groups`` RMSNorms over ``size`` features save per token.

    On a CPU, torch composes the operation of simpler ones and saves the normalised values too.
    """
    return (
        SavedTensor("norm input", groups * size, Kind.FLOAT32),
        SavedTensor("norm root", groups, Kind.FLOAT32),
        SavedTensor("norm result before its gain", groups * size, Kind.FLOAT32, cpu_only=True),
    )


def _rms(d_model: int) -> ComponentCounts:
    return ComponentCounts(
        d_model, saved=rms_norm(d_model), textbook=(SavedTensor("norm", d_model),),
        shapes=((d_model,),),
    )  # fmt: skip


def _layer(d_model: int) -> ComponentCounts:
    saved = (
        SavedTensor("norm input", d_model, Kind.FLOAT32),
        SavedTensor("norm mean and deviation", 2, Kind.FLOAT32),
    )
    return ComponentCounts(
        d_model, saved=saved, textbook=(SavedTensor("norm", d_model),), shapes=((d_model,),)
    )


def _gainless(d_model: int) -> ComponentCounts:
    saved = tuple(tensor for tensor in rms_norm(d_model) if not tensor.cpu_only)
    return ComponentCounts(saved=saved, textbook=(SavedTensor("norm", d_model),))


def _dyt(d_model: int) -> ComponentCounts:
    saved = (
        SavedTensor("input of dynamic tanh", d_model, Kind.FLOAT32),
        SavedTensor("tanh", d_model, Kind.FLOAT32),
    )
    return ComponentCounts(d_model + 1, saved=saved, textbook=(SavedTensor("norm", d_model),))


class PreRMSNorm:
    """RMSNorm before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        del eps

    def wrap(self, d_model: int) -> ComponentCounts:
        """Count a residual branch without its sublayer."""
        return _rms(d_model)

    def final(self, d_model: int) -> ComponentCounts:
        """Count the norm before the head."""
        return _rms(d_model)


class PostRMSNorm(PreRMSNorm):
    """RMSNorm after each residual sum."""

    def final(self, d_model: int) -> ComponentCounts:
        """Count nothing: no norm precedes the head."""
        return ComponentCounts()


class SandwichRMSNorm(PreRMSNorm):
    """RMSNorm before and after each sublayer, and before the head."""

    def wrap(self, d_model: int) -> ComponentCounts:
        """Count a residual branch without its sublayer."""
        one = _rms(d_model)
        return ComponentCounts(2 * one.parameters, saved=2 * one.saved, textbook=2 * one.textbook)


class PreGainlessRMSNorm:
    """RMSNorm without learned gain before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        del eps

    def wrap(self, d_model: int) -> ComponentCounts:
        """Count a residual branch without its sublayer."""
        return _gainless(d_model)

    def final(self, d_model: int) -> ComponentCounts:
        """Count the norm before the head."""
        return _gainless(d_model)


class PreDyT:
    """Dynamic tanh before each sublayer and before the head: a gain per feature, and a scale."""

    def __init__(self, *, alpha: float) -> None:
        del alpha

    def wrap(self, d_model: int) -> ComponentCounts:
        """Count a residual branch without its sublayer."""
        return _dyt(d_model)

    def final(self, d_model: int) -> ComponentCounts:
        """Count the squashing function before the head."""
        return _dyt(d_model)


class PreLayerNorm:
    """LayerNorm before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        del eps

    def wrap(self, d_model: int) -> ComponentCounts:
        """Count a residual branch without its sublayer."""
        return _layer(d_model)

    def final(self, d_model: int) -> ComponentCounts:
        """Count the norm before the head."""
        return _layer(d_model)


class NoNorm:
    """No normalisation anywhere."""

    def wrap(self, d_model: int) -> ComponentCounts:
        """Count nothing."""
        return ComponentCounts()

    def final(self, d_model: int) -> ComponentCounts:
        """Count nothing."""
        return ComponentCounts()
