"""Output heads: logits, and the loss that training minimises."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lmlab.nn.kernel_set import HeadLoss, KernelSet
from lmlab.nn.loss import cross_entropy
from lmlab.nn.loss_terms import LossTerms


class LinearHead(nn.Linear):
    """Logits ``weight @ x``, and their cross-entropy.

    A head is a module with a ``weight`` (V, D), which may be tied to the embedding, ``forward``
    from the hidden states (B, T, D) to logits (B, T, V), and :meth:`loss`. Where logits are the
    plain product, the loss may be computed without all of them in memory; a subclass whose logits
    are another function of the product sets :attr:`is_plain` to False.

    Args:
        d_model: D.
        vocab_size: V.

    Attributes:
        is_plain: whether logits are the plain product, for which there are loss kernels.
    """

    is_plain = True

    def __init__(self, *, d_model: int, vocab_size: int) -> None:
        super().__init__(d_model, vocab_size, bias=False)
        self.head_loss: HeadLoss | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which the head multiplies."""
        return self.weight.dtype

    def loss(self, x_BTD: Tensor, targets_BT: Tensor, terms: LossTerms) -> Tensor:
        """Return the mean negative log-likelihood in nats per token, computed in float32.

        Args:
            x_BTD: output of the last norm.
            targets_BT: int64 ids of the next tokens.
            terms: takes further terms of the training loss.
        """
        if self.head_loss is not None:
            return self.head_loss(x_BTD.flatten(0, 1), self.weight, targets_BT.flatten())
        return cross_entropy(self(x_BTD), targets_BT)

    def use(self, kernels: KernelSet) -> set[str]:
        """Take the loss kernel for this vocabulary, if logits are the plain product."""
        if kernels.head_loss is None or not self.is_plain:
            return set()
        self.head_loss = kernels.head_loss(self.out_features, self.weight.device.type)
        return set() if self.head_loss is None else {"head_loss"}


class SoftcapHead(LinearHead):
    """Logits within ``cap`` of 0: ``cap * tanh(weight @ x / cap)``, in float32.

    Gemma Team 2024 (Gemma 2), section 2, with a cap of 30 for the final logits; also in
    modded-nanogpt.

    Args:
        d_model: D.
        vocab_size: V.
        cap: bound of the logits.
    """

    is_plain = False

    def __init__(self, *, d_model: int, vocab_size: int, cap: float = 30.0) -> None:
        super().__init__(d_model=d_model, vocab_size=vocab_size)
        self.cap = cap

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return float32 logits (B, T, V)."""
        logits: Tensor = super().forward(x_BTD)
        return self.cap * torch.tanh(logits.float() / self.cap)


class ZLossHead(LinearHead):
    """Plain logits; training also keeps their normaliser Z near 1 by ``coefficient * log(Z)^2``.

    Chowdhery et al. 2022 (PaLM), section 5, "training objective". The loss of evaluations is the
    cross-entropy alone.

    Args:
        d_model: D.
        vocab_size: V.
        coefficient: of the mean of log(Z)^2 over tokens.
    """

    is_plain = False

    def __init__(self, *, d_model: int, vocab_size: int, coefficient: float = 1e-4) -> None:
        super().__init__(d_model=d_model, vocab_size=vocab_size)
        self.coefficient = coefficient

    def loss(self, x_BTD: Tensor, targets_BT: Tensor, terms: LossTerms) -> Tensor:
        """Return the cross-entropy in nats per token; add the term ``z_loss``."""
        logits = self(x_BTD).float()
        terms.add_loss("z_loss", self.coefficient * logits.logsumexp(-1).square().mean())
        return cross_entropy(logits, targets_BT)
