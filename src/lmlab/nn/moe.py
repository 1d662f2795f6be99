"""Mixture of experts: a feed-forward layer of many parts, of which each token uses a few."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.nn.expert_dispatch import Dispatch, dispatch, expert_capacity
from lmlab.nn.experts import Expert, apply_experts
from lmlab.nn.ffn import SwiGLU
from lmlab.nn.ffn_width import expert_d_ff
from lmlab.nn.float32_linear import Float32Linear
from lmlab.nn.loss_terms import LossTerms

# Names of what the layer adds to the training loss, and of what it reports.
BALANCE, ROUTER_Z = "load_balance", "router_z"
MAX_LOAD, DROPPED = "max_expert_load", "dropped_share"
_SMALLEST_SUM = 1e-20  # as in DeepSeek-V3's code: sigmoids of very negative logits are all 0


class MoE(nn.Module):
    """Top-k routed experts: sum of ``gate_i(x) expert_i(x)``, Shazeer et al. 2017, equation 1.

    A router gives each expert a score: a softmax over the experts (Fedus et al. 2022, equation 1)
    or a sigmoid (DeepSeek-AI 2024, DeepSeek-V3, equation 15). A token uses the ``top_k`` experts
    with the highest scores, of equal ones those with the lowest numbers. Its gates are their
    scores divided by their sum, as in DeepSeek-V3 (equation 13) and Mixtral (Jiang et al. 2024,
    section 2.1). With ``top_k=1`` the gate is the score itself, as in Fedus et al. (equation 2),
    because a gate of 1 would give the router no gradient. The router computes in float32 under
    every policy (Fedus et al., section 2.4).

    Experts can be balanced in two ways, also at once:

    - A loss ``coefficient * E * sum of f_i P_i``, with the share f_i of choices and the mean score
      P_i of expert i over the tokens of a forward pass: Fedus et al. 2022, equations 4 to 6. For
      ``top_k`` above 1, f_i is divided by it, and sigmoids are divided by their sum over the
      experts, as in DeepSeek-V3, equations 17 to 20. Balanced experts have a loss of
      ``coefficient``.
    - A bias on each score, which only selects and does not weigh. After each update it moves by
      ``bias_update_rate`` up for experts with less than the mean load of the batch and down for
      those with more: Wang et al. 2024 (loss-free balancing), algorithm 1.

    With a capacity factor, an expert computes at most ``factor * tokens * top_k / E`` choices of a
    forward pass in training and drops the rest; see :func:`lmlab.nn.expert_dispatch.dispatch`.
    In evaluation and generation nothing is dropped. A forward pass is that of a micro-batch of one
    rank, so their number changes which choices are dropped, and the balance loss.

    Args:
        d_model: D.
        d_ff: F, the width of each expert; None for :func:`lmlab.nn.ffn_width.expert_d_ff`.
        num_experts: E.
        top_k: experts per token.
        num_shared_experts: experts that every token uses without a gate (Dai et al. 2024,
            DeepSeekMoE, section 3.2), computed as one of their total width.
        scores: ``softmax`` or ``sigmoid``.
        balance_coefficient: of the load-balancing loss; 0 for none.
        bias_update_rate: by which biases move after an update; None for no biases.
        z_loss_coefficient: of the mean squared log of the sum of exp(logits): Zoph et al. 2022
            (ST-MoE), equation 5; 0 for none.
        capacity_factor: 1 is just enough for balanced experts; None to drop nothing.

    Attributes:
        selection_bias: (E,) float32, a saved buffer; None without biases.
        loads: choices of each expert since the last update, (E,) int64; None without biases.
    """

    wants = ("terms",)
    is_stackable = False  # each model of a stack would give its experts other numbers of tokens
    is_capturable = False  # in a CUDA graph: the host reads how many tokens each expert has
    summed_buffers = ("loads",)

    def __init__(
        self,
        *,
        d_model: int,
        d_ff: int | None,
        num_experts: int,
        top_k: int,
        num_shared_experts: int,
        scores: str,
        balance_coefficient: float,
        bias_update_rate: float | None,
        z_loss_coefficient: float,
        capacity_factor: float | None,
    ) -> None:
        super().__init__()
        if d_ff is None:
            d_ff = expert_d_ff(d_model, top_k + num_shared_experts)
        self.d_ff = d_ff
        self.top_k = top_k
        self.uses_sigmoid = scores == "sigmoid"
        self.balance_coefficient = balance_coefficient
        self.bias_update_rate = bias_update_rate
        self.z_loss_coefficient = z_loss_coefficient
        self.capacity_factor = capacity_factor
        self.router = Float32Linear(d_model, num_experts)
        self.experts = nn.ModuleList(Expert(d_model=d_model, d_ff=d_ff) for _ in range(num_experts))
        self.shared = None
        if num_shared_experts:
            self.shared = SwiGLU(d_model=d_model, d_ff=num_shared_experts * d_ff)
        has_bias = bias_update_rate is not None
        self.selection_bias: Tensor | None
        self.loads: Tensor | None
        bias = torch.zeros(num_experts) if has_bias else None
        loads = torch.zeros(num_experts, dtype=torch.int64) if has_bias else None
        self.register_buffer("selection_bias", bias)
        self.register_buffer("loads", loads, persistent=False)  # zeros after each update

    def forward(self, x_BTD: Tensor, terms: LossTerms | None = None) -> Tensor:
        """Return (B, T, D).

        Args:
            x_BTD: input.
            terms: takes the losses and the loads; None outside of training.
        """
        x_ND = x_BTD.flatten(0, 1)
        logits_NE = self.router(x_ND)
        scores_NE = logits_NE.sigmoid() if self.uses_sigmoid else F.softmax(logits_NE, dim=-1)
        experts_NK = self._choose(scores_NE.detach())
        gates_NK = scores_NE.gather(1, experts_NK)
        if self.top_k > 1:
            gates_NK = gates_NK / (gates_NK.sum(-1, keepdim=True) + _SMALLEST_SUM)
        plan = dispatch(experts_NK, len(self.experts), self._capacity(experts_NK.numel()))
        if self.training and self.loads is not None:
            self.loads += plan.loads
        if terms is not None:
            self._report(terms, logits_NE, scores_NE, plan)
        outputs_PD = apply_experts(self.experts, x_ND, plan)
        outputs_NKD = outputs_PD.view(*experts_NK.shape, x_ND.shape[1])
        y_ND = (outputs_NKD * gates_NK.to(outputs_NKD.dtype)[..., None]).sum(1)
        if self.shared is not None:
            y_ND = y_ND + self.shared(x_ND)
        return y_ND.view_as(x_BTD)

    def _choose(self, scores_NE: Tensor) -> Tensor:
        ranked_NE = scores_NE if self.selection_bias is None else scores_NE + self.selection_bias
        order_NE = ranked_NE.sort(dim=-1, descending=True, stable=True).indices
        return order_NE[:, : self.top_k].contiguous()

    def _capacity(self, num_pairs: int) -> int | None:
        if not self.training or self.capacity_factor is None:
            return None
        return expert_capacity(num_pairs, len(self.experts), self.capacity_factor)

    def _report(
        self, terms: LossTerms, logits_NE: Tensor, scores_NE: Tensor, plan: Dispatch
    ) -> None:
        num_experts = len(self.experts)
        shares_E = plan.loads / len(plan.order)
        if self.balance_coefficient:
            if self.uses_sigmoid:
                scores_NE = scores_NE / (scores_NE.sum(-1, keepdim=True) + _SMALLEST_SUM)
            imbalance = num_experts * (shares_E * scores_NE.mean(0)).sum()
            terms.add_loss(BALANCE, self.balance_coefficient * imbalance)
        if self.z_loss_coefficient:
            squares_N = logits_NE.logsumexp(-1).square()
            terms.add_loss(ROUTER_Z, self.z_loss_coefficient * squares_N.mean())
        terms.add_metric(MAX_LOAD, num_experts * shares_E.max())
        if self.capacity_factor is not None:
            terms.add_metric(DROPPED, plan.dropped_share())

    @torch.no_grad()
    def after_update(self) -> None:
        """Move the biases by the loads of the batch, summed over all ranks, and clear them."""
        if self.selection_bias is None or self.loads is None or self.bias_update_rate is None:
            return
        excess = len(self.loads) * self.loads - self.loads.sum()
        self.selection_bias -= self.bias_update_rate * excess.sign()
        self.loads.zero_()

    def matmul_entries(self) -> int:
        """Return the entries of the matrices that a token is multiplied by if none is dropped."""
        shared = 0 if self.shared is None else _num_entries(self.shared)
        return self.router.weight.numel() + self.top_k * _num_entries(self.experts[0]) + shared


def _num_entries(part: nn.Module) -> int:
    return sum(weight.numel() for weight in part.parameters())
