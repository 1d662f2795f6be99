"""What a study does not show: its declared limitations, and those of its design and scale."""

from __future__ import annotations

from collections.abc import Iterable

from lmlab.study.mixed_runs import mixed_runs
from lmlab.study.run_records import Study


def limits(study: Study) -> list[str]:
    """State what the study does not show: its declared limitations, and those of its scale."""
    manifest, early = study.manifest, [*study.damage, *mixed_runs(study), *_early_stops(study)]
    if manifest is None or manifest.comparison is None:
        return early
    design, first = manifest.comparison, manifest.arms[0]
    lines = [*early, *design.limits]
    if study.arm_costs:
        parameters, tokens = (
            _range(costs[key] for costs in study.arm_costs.values())
            for key in ("parameters", "tokens")
        )
        lines.append(
            f"The models have {parameters} parameters and were trained on {tokens} tokens; results "
            "may differ for larger models or longer training."
        )
        if design.metric == "loss" and len({c["tokenizer"] for c in study.arm_costs.values()}) > 1:
            lines.append(
                "The tokenizers of the arms differ, so their losses per token are not comparable; "
                "design.metric=bits_per_byte is."
            )
    if first["training"]["steps"] and manifest.comparison.compared_arms:
        lines.append(
            "Only the learning rate is tuned for each arm; weight decay, warm-up and schedule are "
            "not tuned."
            if design.lr == "search"
            else "Learning rate, weight decay, warm-up and schedule are not tuned for each arm."
        )
    if design.lr == "search" and study.arm_costs:
        lines.append(
            "Learning rates are chosen by the loss on the same validation text that is reported "
            "(with other seeds), so final losses may be slightly too low for new text; there is no "
            "separate test text."
        )
    if study.arm_costs:
        lines.append(
            "FLOPs count matrix products, two per multiplication, over the full square of "
            "attention; normalization, activations, softmax, rotary positions, embedding lookups, "
            "residual additions and the optimizer are left out. Training takes three times the "
            "forward pass."
        )
    return lines


def _early_stops(study: Study) -> list[str]:
    """State what early stopping does to the comparison; nothing where no run stopped early."""
    early = [record for record in study.records if record.shown_state == "stopped early"]
    if not early:
        return []
    tokens = _range(round(record.reached("tokens") or 0) for record in study.records)
    return [
        f"{len(early)} of {len(study.records)} runs stopped early (training.patience), so runs "
        f"were trained on {tokens} tokens: they differ in their budgets, and the schedule of the "
        "learning rate was cut off. Losses are those of the last evaluation, not the lowest ones."
    ]


def _range(values: Iterable[int]) -> str:
    known = sorted(set(values))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
