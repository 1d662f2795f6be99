"""What an optimizer's update depends on: declared, known of torch's classes, or unknown."""

from __future__ import annotations

import pytest
import torch
from optimizer_cases import TORCH_OPTIMIZERS
from small_models import options

from lmlab.build.instantiate import bind
from lmlab.build.parallel_check import optimizer_unit
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.optim.update_unit import ELEMENT, MODEL, TENSOR, update_unit, updates_by


class Whitened(torch.optim.SGD):
    """Needs whole matrices, and does not say so."""

    def step(self, closure=None):  # type: ignore[no-untyped-def]
        for group in self.param_groups:
            for parameter in group["params"]:
                u, _, v = torch.linalg.svd(parameter.grad, full_matrices=False)
                parameter.data.sub_(u @ v, alpha=group["lr"])


class Honest(Whitened):
    update_unit = TENSOR

    def step(self, closure=None):  # type: ignore[no-untyped-def]
        return super().step(closure)


class Inheriting(Honest):
    def __init__(self, params, lr: float = 0.1) -> None:  # type: ignore[no-untyped-def]
        super().__init__(params, lr=lr)


class Changing(Honest):
    def step(self, closure=None):  # type: ignore[no-untyped-def]
        return super().step(closure)


def test_a_step_of_ones_own_is_known_only_by_its_own_declaration() -> None:
    assert update_unit(torch.optim.SGD, "sgd") == ELEMENT
    assert update_unit(Whitened, "whitened") is None, "torch's SGD says nothing about its step"
    assert update_unit(Honest, "honest") == update_unit(Inheriting, "inheriting") == TENSOR
    assert update_unit(Changing, "changing") is None
    for kind in (Whitened, Honest, Inheriting, Changing):
        kind([torch.nn.Parameter(torch.eye(2))], lr=0.1)  # torch wraps the step now
    assert update_unit(Inheriting, "inheriting") == TENSOR
    assert update_unit(Whitened, "whitened") is update_unit(Changing, "changing") is None


def test_functions_declare_it_too() -> None:
    def build(params):  # type: ignore[no-untyped-def]
        return Whitened(params, lr=0.1)

    assert update_unit(build, "build") is None
    assert update_unit(updates_by(MODEL)(build), "build") == MODEL
    build.update_unit = "row"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"_=mine\.build: expected update_unit to be one of ele"):
        update_unit(build, "mine.build")


def test_every_option_and_every_optimizer_of_torch_is_known() -> None:
    of_tensors = {"muon", "soap", "adafactor"}
    for option in options("optim"):
        unit = optimizer_unit(bind(compose([f"optim={option}"]).optim))
        assert unit == (TENSOR if option in of_tensors else ELEMENT), option
    for name in TORCH_OPTIMIZERS:
        unit = update_unit(getattr(torch.optim, name), name)
        assert unit == (TENSOR if name == "Adafactor" else ELEMENT), name


@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_an_elementwise_optimizer_gives_parts_of_a_matrix_the_same_update(name: str) -> None:
    kind = getattr(torch.optim, name)
    whole = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    parts = [part.clone().requires_grad_() for part in whole.detach().split([2, 4])]
    together, apart = kind([whole], lr=0.1), kind(parts, lr=0.1)
    for step in range(3):
        gradient = torch.randn(6, 4, generator=torch.Generator().manual_seed(1 + step))
        whole.grad = gradient.clone()
        for part, of_part in zip(parts, gradient.split([2, 4]), strict=True):
            part.grad = of_part.clone()
        together.step()
        apart.step()
    is_same = torch.allclose(whole, torch.cat(parts), atol=1e-6)
    assert is_same == (update_unit(kind, name) == ELEMENT)
