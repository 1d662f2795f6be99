"""The catalogue of parts: each arm matches the baseline in parameters or FLOPs, and says which."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.long
def test_each_arm_matches_the_baseline_in_parameters_or_flops(tmp_path) -> None:
    plan = subprocess.run(
        [sys.executable, "-m", "lmlab.train", "experiment=catalogue", "scale=smoke",
         "hydra.launcher.plan_only=true", f"output_root={tmp_path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    table = re.findall(r"^([a-z0-9-]+) +([\d,]+) +([\d,]+) +32,768", plan.stderr, re.MULTILINE)
    costs = {arm: [int(one.replace(",", "")) for one in counts] for arm, *counts in table}
    parameters, flops = costs.pop("baseline")
    assert len(costs) == 20
    for arm, (own, per_token) in costs.items():
        is_matched = abs(own / parameters - 1) <= 0.01 or abs(per_token / flops - 1) <= 0.03
        assert is_matched, arm
        for name, is_equal in (
            ("parameters", abs(own / parameters - 1) <= 0.01),
            ("FLOPs per token", abs(per_token / flops - 1) <= 0.03),
        ):
            assert is_equal != (f"allowed: {arm}: {name}" in plan.stderr), arm
