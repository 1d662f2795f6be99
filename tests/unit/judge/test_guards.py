"""Ideas that would decide how they are judged are refused, each with a reason and a way out."""

from __future__ import annotations

import pytest

from lmlab.errors import ConfigError
from lmlab.judge.guards import check_baseline, check_initial_weights, check_overrides, check_seeds


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("seed=3", "no seed"),
        ("seeds.init=3", "no seed"),
        ("+seeds.data=3", "no seed"),
        ("validation.max_tokens=10", "settings of validation"),
        ("validation.tasks=easy.jsonl", "settings of validation"),
        ("data.valid=easy.txt", "validation text"),
        ("data.valid_fraction=0.5", "validation text"),
        ("data.num_valid_documents=5", "validation text"),
        ("data.sources.a.valid=easy.txt", "validation text"),
        ("design.metric=bits_per_byte", "the metric"),
        ("design.margin=1", "the margin"),
        ("callbacks=mine", "functions that run beside"),
        ("hydra.callbacks.a._target_=b", "belongs to the ledger"),
        ("hydra/launcher=slurm", "belongs to the ledger"),
        ("study=other", "belongs to the ledger"),
        ("reuse_across_code=true", "belongs to the ledger"),
        ("scale=cpu", "belongs to the ledger"),
    ],
)
def test_what_decides_how_an_idea_is_judged_is_refused(override: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        check_overrides(["model.norm=post", override])
    assert caught.value.message.startswith(f"overrides: {override}: expected")
    assert caught.value.help


def test_what_is_no_override_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        check_overrides(["model.norm"])


def test_ideas_about_model_training_and_text_pass() -> None:
    check_overrides(["model.norm=post", "model/ffn=gelu", "~optim.betas", "+optim.eps=1e-9"])
    check_overrides(["training.ema=0.99", "data.train=more.txt", "schedule=linear"])


@pytest.mark.parametrize("override", ["seed=1", "seeds.init=1", "study=a", "design=comparison"])
def test_a_baseline_names_no_seed_and_no_study(override: str) -> None:
    with pytest.raises(ConfigError, match=f"baseline: {override}"):
        check_baseline([override])
    check_baseline(["scale=cpu", "model.d_model=64"])


def test_an_option_that_sets_a_seed_is_refused() -> None:
    baseline = {"seed": 0, "seeds": {"init": 0, "data": 0}}
    check_seeds(baseline, dict(baseline))
    with pytest.raises(ConfigError, match="the seeds of the ledger"):
        check_seeds(baseline, baseline | {"seeds": {"init": 0, "data": 7}})


def test_trained_weights_are_no_idea() -> None:
    drawn, trained = ({"model": {"init": init}} for init in ({}, {"path": "outputs/a/seed0"}))
    check_initial_weights(drawn, drawn)
    check_initial_weights(trained, trained)
    check_initial_weights(trained, drawn)
    with pytest.raises(ConfigError, match="have seen more tokens"):
        check_initial_weights(drawn, trained)
