"""Position-wise feed-forward layers without biases."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.nn.ffn_width import auto_d_ff
from lmlab.nn.fused_linear import ApplyLinears, fused_linear, separate_linears
from lmlab.nn.kernel_set import KernelSet


class _Gated(nn.Module):
    def __init__(
        self, activation: Callable[[Tensor], Tensor], *, d_model: int, d_ff: int | None
    ) -> None:
        super().__init__()
        self.d_ff = d_ff = auto_d_ff(d_model, gated=True) if d_ff is None else d_ff
        self.activation = activation
        self.gate = nn.Linear(d_model, d_ff, bias=False)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)
        self.apply_linears: ApplyLinears = separate_linears

    def use(self, kernels: KernelSet) -> set[str]:
        """Take the kernel of linear maps."""
        if kernels.apply_linears is None:
            return set()
        self.apply_linears = kernels.apply_linears
        return {"apply_linears"}

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return (B, T, D)."""
        gate, up = self.apply_linears(x_BTD, (self.gate, self.up))
        x: Tensor = self.down(self.activation(gate) * up)
        return x


class SwiGLU(_Gated):
    """``down(silu(gate(x)) * up(x))``: Shazeer 2020, equation 6.

    Args:
        d_model: D.
        d_ff: F; None for :func:`auto_d_ff` of a gated layer.
    """

    def __init__(self, *, d_model: int, d_ff: int | None) -> None:
        super().__init__(F.silu, d_model=d_model, d_ff=d_ff)
        self.silu_and_mul: Callable[[Tensor], Tensor] | None = None

    def use(self, kernels: KernelSet) -> set[str]:
        """Take the kernels of the gate and of linear maps."""
        taken = super().use(kernels)
        if kernels.silu_and_mul is not None:
            self.silu_and_mul = kernels.silu_and_mul
            taken.add("silu_and_mul")
        return taken

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return (B, T, D)."""
        if self.silu_and_mul is None:
            return super().forward(x_BTD)
        x: Tensor = self.down(self.silu_and_mul(fused_linear(x_BTD, (self.gate, self.up))))
        return x


class GEGLU(_Gated):
    """``down(gelu(gate(x)) * up(x))`` with the exact error function: Shazeer 2020, equation 6.

    Args:
        d_model: D.
        d_ff: F; None for :func:`auto_d_ff` of a gated layer.
    """

    def __init__(self, *, d_model: int, d_ff: int | None) -> None:
        super().__init__(F.gelu, d_model=d_model, d_ff=d_ff)


class ReGLU(_Gated):
    """``down(relu(gate(x)) * up(x))``: Shazeer 2020, equation 6.

    Args:
        d_model: D.
        d_ff: F; None for :func:`auto_d_ff` of a gated layer.
    """

    def __init__(self, *, d_model: int, d_ff: int | None) -> None:
        super().__init__(F.relu, d_model=d_model, d_ff=d_ff)


class _Ungated(nn.Module):
    def __init__(
        self, activation: Callable[[Tensor], Tensor], *, d_model: int, d_ff: int | None
    ) -> None:
        super().__init__()
        self.d_ff = d_ff = auto_d_ff(d_model, gated=False) if d_ff is None else d_ff
        self.activation = activation
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return (B, T, D)."""
        x: Tensor = self.down(self.activation(self.up(x_BTD)))
        return x


class SiLU(_Ungated):
    """``down(silu(up(x)))``, silu(x) = x sigmoid(x): Hendrycks and Gimpel 2016, section 2.

    Args:
        d_model: D.
        d_ff: F; None for :func:`auto_d_ff` of an ungated layer.
    """

    def __init__(self, *, d_model: int, d_ff: int | None) -> None:
        super().__init__(F.silu, d_model=d_model, d_ff=d_ff)


class GELU(_Ungated):
    """``down(gelu(up(x)))`` with the exact error function: Hendrycks and Gimpel 2016, section 2.

    Args:
        d_model: D.
        d_ff: F; None for :func:`auto_d_ff` of an ungated layer.
    """

    def __init__(self, *, d_model: int, d_ff: int | None) -> None:
        super().__init__(F.gelu, d_model=d_model, d_ff=d_ff)


class ReLU2(_Ungated):
    """``down(relu(up(x))^2)``: So et al. 2021 (Primer), section 4.

    Args:
        d_model: D.
        d_ff: F; None for :func:`auto_d_ff` of an ungated layer.
    """

    def __init__(self, *, d_model: int, d_ff: int | None) -> None:
        super().__init__(squared_relu, d_model=d_model, d_ff=d_ff)


def squared_relu(x: Tensor) -> Tensor:
    """Return max(x, 0)^2."""
    return F.relu(x).square()
