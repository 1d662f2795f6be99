"""The cost report: its parts agree with each other and with figures worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmlab.accounting.cost_report import CostOptions, compute_settings, cost_report
from lmlab.accounting.model_counts import GROUPS
from lmlab.config.compose import compose

GPT2_XL = ["model=gpt2_xl", "training.steps=1000", "training.batch_size=512"]


def report(*overrides: str, device: str = "cpu", **options: Any) -> dict[str, Any]:
    return cost_report(compose(overrides).as_dict(), CostOptions(**options), device)


def test_the_report_is_json_and_its_parts_sum_to_the_totals() -> None:
    found = report("model=tiny")
    assert json.loads(json.dumps(found)) == found
    assert sum(found["parameters"]["components"].values()) == found["parameters"]["total"]
    flops = found["flops"]
    for key, total in (("counted", "forward"), ("causal", "forward_causal")):
        assert sum(part[key] for part in flops["components"].values()) == flops[total]
    assert sum(part["share"] for part in flops["components"].values()) == pytest.approx(1)
    assert set(flops["shares"]) <= set(GROUPS) and sum(flops["shares"].values()) == pytest.approx(1)
    memory = found["memory"]
    assert sum(memory["activations_by_component"].values()) == memory["activations"]
    assert memory["peak"] == max(memory["training_peak"], memory["validation_peak"])


def test_time_is_flops_over_the_reached_share_of_the_peak() -> None:
    time = report(*GPT2_XL, peak=19.5e12, mfu=0.4)["time"]
    step_flops = 3 * 4_513_336_524_800 * 512
    assert time["step_flops"] == step_flops
    assert time["run_flops"] == 1000 * step_flops
    assert time["step_seconds"] == pytest.approx(step_flops / 7.8e12)
    assert time["run_seconds"] == pytest.approx(1000 * time["step_seconds"])


def test_time_and_largest_batch_are_reported_only_on_request() -> None:
    found = report("model=tiny")
    assert "step_seconds" not in found["time"]
    assert "largest_batch" not in found["memory"] and "largest_batch" not in found["textbook"]
    found = report("model=tiny", memory=10**9)
    assert found["memory"]["largest_batch"] > 0
    assert found["memory"]["available"] == 10**9


def test_micro_batches_reduce_activations_in_proportion() -> None:
    full = report("training.batch_size=32")["memory"]
    split = report("training.batch_size=32", "training.micro_batch_size=8")["memory"]
    assert (split["micro_batch_size"], split["passes"]) == (8, 4)
    assert split["textbook_activations"] * 4 == full["textbook_activations"]


@pytest.mark.parametrize(
    ("policy", "device", "precision", "is_chunked"),
    [
        ("auto", "cuda", "bf16", True),
        ("auto", "cpu", "fp32", True),
        ("auto", "mps", "fp32", False),
        ("exact", "cuda", "fp32", False),
        ("bf16", "cpu", "bf16", True),
    ],
)
def test_the_policy_determines_precision_and_loss_chunks(
    policy: str, device: str, precision: str, is_chunked: bool
) -> None:
    config = compose([f"runtime.policy={policy}"]).as_dict()
    settings = compute_settings(config, device, CostOptions())
    assert settings.precision == precision
    assert (settings.loss_chunk is not None) == is_chunked


def test_the_resolved_policy_and_an_explicit_chunk_take_precedence() -> None:
    config = compose(["runtime.policy=auto"]).as_dict()
    settings = compute_settings(config, "cuda", CostOptions(loss_chunk=7), policy="exact")
    assert settings.precision == "fp32"
    assert settings.loss_chunk == 7
