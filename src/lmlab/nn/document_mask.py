"""Which tokens of a window belong to one document."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.nn.document_layout import Documents


def document_numbers(tokens_BT: Tensor, documents: Documents) -> Tensor:
    """Return the number of the document of each token, from 0 in each sequence: (B, T) int64.

    It is the number of ends before the token, or up to it where they stand before each document.
    """
    is_end_BT = tokens_BT == documents.end_id
    if not documents.is_before:
        is_end_BT = F.pad(is_end_BT, (1, 0))[:, :-1]
    return is_end_BT.cumsum(1)


def same_document(numbers_BT: Tensor, numbers_BS: Tensor) -> Tensor:
    """Return True where a query and a key belong to one document, (B, T, S).

    Args:
        numbers_BT: number of the document of each query; see :func:`document_numbers`.
        numbers_BS: the same of each key.
    """
    return numbers_BT[:, :, None] == numbers_BS[:, None, :]


def document_mask(tokens_BT: Tensor, documents: Documents) -> Tensor:
    """Return True where query t may attend to key s: no later one, of its document. (B, T, T)."""
    numbers_BT = document_numbers(tokens_BT, documents)
    places_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
    causal_TT = places_T[None, :] <= places_T[:, None]
    return same_document(numbers_BT, numbers_BT) & causal_TT
