"""Declarations of studies."""

from __future__ import annotations

import math
from typing import Any

from lmlab.design.comparison import Comparison


def a_design(**changes: Any) -> Comparison:
    fields: dict[str, Any] = {
        "question": "?", "arms": {"a": [], "b": []}, "baseline": "a", "replicate": None,
        "lr": "search", "lr_factor": math.sqrt(10), "edge_ratio": 1.5, "at_baseline_lr": True,
        "num_seeds": 5, "num_tuning_seeds": 2, "extra_seeds": 0, "hold_tokens": False,
        "solve_d_ff": False, "tolerance": {"parameters": 0.01, "flops": 0.02}, "allow": [],
        "margin": 0.02, "alpha": 0.05, "power": 0.8, "expected_sd": 0.01, "limits": [],
    }  # fmt: skip
    return Comparison(**(fields | changes))
