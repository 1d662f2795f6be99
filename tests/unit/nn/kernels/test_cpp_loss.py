"""The loss in C++ compared with float64: chunks, rounding, non-finite logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.nn.kernels import cpp_loss, loss_op
from lmlab.nn.kernels.cpp_loss import chunked_cross_entropy
from lmlab.runtime import cpp_extension

pytestmark = pytest.mark.skipif(
    cpp_extension.find_compiler() is None or not cpp_extension.is_supported(),
    reason="there is no C++ compiler with OpenMP",
)
BOUNDS = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-7},
    # Logits, their gradients and everything computed from them are rounded to 8 bits.
    torch.bfloat16: {"rtol": 2**-5, "atol": 2e-3},
}


@pytest.fixture(scope="module", autouse=True)
def _kernel(tmp_path_factory: pytest.TempPathFactory) -> None:
    cpp_loss.load_kernel(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def _chunks_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_op, "in_place_chunk_rows", lambda *sizes: 7)


def random_inputs(
    tokens: int, vocabulary: int, dtype: torch.dtype = torch.float32, size: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = (torch.randn(tokens, 8, generator=generator) * size).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, 8, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, vocabulary, (tokens,), generator=generator)


@pytest.mark.usefixtures("_chunks_of_seven")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("tokens", [1, 7, 23])
@pytest.mark.parametrize("vocabulary", [1, 2, 16, 31, 257])
def test_loss_and_gradients_equal_those_in_float64(
    tokens: int, vocabulary: int, dtype: torch.dtype
) -> None:
    hidden, weight, targets = random_inputs(tokens, vocabulary, dtype)
    loss = chunked_cross_entropy(hidden, weight, targets)
    found_gradients = torch.autograd.grad(loss * 0.25, (hidden, weight))
    exact = F.cross_entropy(hidden.double() @ weight.double().T, targets)
    exact_gradients = torch.autograd.grad(exact * 0.25, (hidden, weight))
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss.double(), exact, **BOUNDS[dtype])
    for result, expected in zip(found_gradients, exact_gradients, strict=True):
        assert result.dtype is dtype
        torch.testing.assert_close(result, expected, **BOUNDS[dtype])


@pytest.mark.usefixtures("_chunks_of_seven")
def test_the_gradient_of_a_bf16_weight_is_summed_in_float32() -> None:
    """Repeats one chunk 64 times; a sum in bfloat16 would round each time."""
    hidden, weight, targets = random_inputs(7, 33, torch.bfloat16)
    (once,) = torch.autograd.grad(chunked_cross_entropy(hidden, weight, targets), weight)
    parts = hidden.detach().repeat(64, 1), weight, targets.repeat(64)
    (often,) = torch.autograd.grad(chunked_cross_entropy(*parts), weight)
    torch.testing.assert_close(often, once, rtol=2**-7, atol=0)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    hidden, weight, targets = random_inputs(50, 100)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            values = (hidden @ weight.T).detach()
            losses = torch.empty(len(targets))
            cpp_loss._replace_logits(values, targets, losses, 0.5)
            found.append((values, losses))
    finally:
        torch.set_num_threads(before)
    for values, losses in found[1:]:
        assert torch.equal(values, found[0][0]) and torch.equal(losses, found[0][1])


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets = random_inputs(9, 40, size=1e4)
    loss = chunked_cross_entropy(hidden, weight, targets)
    gradients = torch.autograd.grad(loss, (hidden, weight))
    torch.testing.assert_close(loss, F.cross_entropy(hidden @ weight.T, targets))
    assert all(bool(torch.isfinite(part).all()) for part in gradients)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", [0, 17, 39])
def test_a_non_finite_logit_makes_loss_and_gradients_of_its_token_nan(
    value: float, column: int
) -> None:
    """A diverging run must not look healthy."""
    values, targets = torch.zeros(2, 40), torch.tensor([3, 3])
    values[1, column] = value
    losses = torch.empty(2)
    cpp_loss._replace_logits(values, targets, losses, 1.0)
    assert losses.isnan().tolist() == [False, True]
    assert values.isnan().any(1).tolist() == [False, True]


@pytest.mark.long
def test_a_tied_head_receives_both_gradients_when_compiled() -> None:
    _, weight, targets = random_inputs(23, 50)
    tokens = targets.roll(1)

    def loss(weight: Tensor) -> Tensor:
        return chunked_cross_entropy(weight[tokens], weight, targets)

    (found,) = torch.autograd.grad(torch.compile(loss, dynamic=False)(weight), weight)
    (plain,) = torch.autograd.grad(F.cross_entropy(weight[tokens] @ weight.T, targets), weight)
    torch.testing.assert_close(found, plain, **BOUNDS[torch.float32])
