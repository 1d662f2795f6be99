"""Skips tests of Triton kernels that cannot run here; device and dtype of the others.

    TRITON_INTERPRET=1 pytest tests/unit/nn/kernels

runs them in Triton's interpreter on a CPU.
"""

from __future__ import annotations

import os

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not torch.cuda.is_available() and not INTERPRETED:
    pytest.skip("there is no CUDA device, and TRITON_INTERPRET=1 is not set",
                allow_module_level=True)  # fmt: skip

DEVICE = "cpu" if INTERPRETED else "cuda"
