"""Marks of tests that need a CPU feature."""

from __future__ import annotations

import pytest
import torch

from lmlab.runtime.precision import supports_bf16

needs_bf16 = pytest.mark.skipif(
    not supports_bf16(torch.device("cpu")), reason="this CPU has no bfloat16 instructions"
)
