"""Marks of tests that not every processor can run."""

from __future__ import annotations

import pytest
import torch

from lmlab.runtime.precision import supports_bf16

needs_bf16 = pytest.mark.skipif(
    not supports_bf16(torch.device("cpu")), reason="this CPU multiplies no bfloat16"
)
