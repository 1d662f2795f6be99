"""Registration of attention kernels: autograd, fake tensors and vmap of a kernel in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from lmlab.nn.attention import naive_attention
from lmlab.nn.kernels.attention_op import define_attention_op, empty_token_major


def _forward(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Attention with queries multiplied by a table (T, K) that all models share."""
    output = empty_token_major(q)
    output.copy_(naive_attention(q * scale, k, v))
    return output, q.new_zeros(q.shape[:3])


def _backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, scale: Tensor, output: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    scaled = q * scale
    later = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).triu(1)
    factor = q.shape[-1] ** -0.5
    weights = (scaled @ k.mT * factor).masked_fill(later, float("-inf")).softmax(-1)
    of_weights = gradient @ v.mT
    of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True)) * factor
    results = of_scores @ k * scale, of_scores.mT @ scaled, weights.mT @ gradient
    dq, dk, dv = (empty_token_major(part).copy_(part) for part in results)
    return dq, dk, dv


def _forward_fake(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return empty_token_major(q), q.new_empty(q.shape[:3])


def _backward_fake(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, scale: Tensor, output: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return empty_token_major(q), empty_token_major(k), empty_token_major(v)


attend, differentiate = define_attention_op(
    "lmlab_test::scaled_attention", _forward, _backward,
    forward_fake=_forward_fake, backward_fake=_backward_fake,
)  # fmt: skip


def random_inputs(*leading: int) -> tuple[list[Tensor], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    shape = (*leading, 2, 3, 7, 4)
    q, k, v, gradient = (torch.randn(shape, generator=generator) for _ in range(4))
    scale = torch.rand(7, 4, generator=generator) + 0.5
    return [part.requires_grad_() for part in (q, k, v)], scale, gradient


def test_gradients_are_those_of_the_kernel_and_tables_have_none() -> None:
    inputs, scale, gradient = random_inputs()
    q, k, v = inputs
    expected = naive_attention(q * scale, k, v)
    scale.requires_grad_()
    output = attend(*inputs, scale)[0]
    torch.testing.assert_close(output, expected)
    found = torch.autograd.grad(output, [*inputs, scale], gradient, allow_unused=True)
    assert found[3] is None
    for result, other in zip(found, torch.autograd.grad(expected, inputs, gradient), strict=False):
        torch.testing.assert_close(result, other)


def test_fake_tensors_and_autograd_are_registered_correctly() -> None:
    inputs, scale, gradient = random_inputs()
    forward = torch.library.opcheck(attend, (*inputs, scale))
    detached = [part.detach() for part in inputs]
    backward = torch.library.opcheck(
        differentiate, (gradient, *detached, scale, *attend(*detached, scale))
    )
    assert {*forward.values(), *backward.values()} == {"SUCCESS"}


def test_vmap_over_models_shares_the_table_and_equals_each_model_alone() -> None:
    inputs, scale, gradient = random_inputs(5)

    def loss(q: Tensor, k: Tensor, v: Tensor, upstream: Tensor) -> Tensor:
        return (attend(q, k, v, scale)[0] * upstream).sum()

    stacked = torch.autograd.grad(torch.func.vmap(loss)(*inputs, gradient).sum(), inputs)
    for index in range(5):
        alone = [part[index].detach().requires_grad_() for part in inputs]
        found = torch.autograd.grad(loss(*alone, gradient[index]), alone)
        for result, expected in zip(found, stacked, strict=True):
            torch.testing.assert_close(result, expected[index])


def test_token_major_tensors_have_the_layout_of_projections() -> None:
    like = torch.empty(2, 3, 7, 4, dtype=torch.float64)
    found = empty_token_major(like)
    assert found.shape == like.shape and found.dtype is torch.float64
    assert found.transpose(1, 2).is_contiguous()
