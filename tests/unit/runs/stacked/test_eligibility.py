from __future__ import annotations

import pytest

from lmlab.config.compose import compose, from_dict
from lmlab.errors import ConfigError
from lmlab.runs.stacked.eligibility import members_at_once, stack_key


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("optim.lr=1e-4", True),
        ("optim.weight_decay=0", True),
        ("optim=sgd", True),
        ("schedule.warmup_steps=1", True),
        ("model.init=normal", True),
        ("seed=7", True),
        ("seeds.data=7", True),
        ("model.norm=post", False),
        ("model.d_model=32", False),
        ("training.batch_size=8", False),
        ("training.steps=21", False),
        ("tokenizer=bytes", False),
        ("runtime.policy=bf16", False),
    ],
)
def test_runs_of_a_stack_differ_in_free_settings_only(
    overrides: list[str], change: str, same: bool
) -> None:
    assert (stack_key(compose([*overrides, change])) == stack_key(compose(overrides))) is same


def test_auto_stacks_small_models_on_a_gpu(overrides: list[str]) -> None:
    small, wide = (
        compose([*overrides, "runtime.policy=fast", "model.d_model=256"]),
        compose([*overrides, "runtime.policy=fast", "model.d_model=512"]),
    )
    assert members_at_once(small, "cuda", "auto") == 8
    assert members_at_once(wide, "cuda", "auto") == 1
    assert members_at_once(small, "cpu", "auto") == 1
    assert members_at_once(small, "cuda", "off") == members_at_once(small, "cuda", False) == 1
    assert members_at_once(wide, "cpu", 5) == 5
    for wrong in (0, 1, -2, True, "many"):
        with pytest.raises(ConfigError, match=r"hydra\.launcher\.stack="):
            members_at_once(small, "cpu", wrong)
    with pytest.raises(ConfigError, match="mps"):
        members_at_once(small, "mps", 4)
    assert members_at_once(small, "mps", "auto") == 1


def test_runs_with_dropout_are_never_stacked(overrides: list[str]) -> None:
    dropping = compose([*overrides, "runtime.policy=fast", "model.dropout=0.1"])
    assert members_at_once(dropping, "cuda", "auto") == 1
    with pytest.raises(ConfigError, match=r"model\.dropout=0\.1 draws numbers"):
        members_at_once(dropping, "cuda", 4)


def test_runs_of_experts_are_never_stacked(overrides: list[str]) -> None:
    routed = compose([*overrides, "runtime.policy=fast", "model.ffn=moe"])
    assert members_at_once(routed, "cuda", "auto") == 1
    expected = r"model\.ffn\._target_=lmlab\.nn\.moe\.MoE computes one model at a time"
    with pytest.raises(ConfigError, match=expected):
        members_at_once(routed, "cuda", 4)


def test_runs_of_some_minutes_are_never_stacked(overrides: list[str]) -> None:
    shared = [one for one in overrides if "training.steps" not in one]
    timed = compose([*shared, "runtime.policy=fast", "training.minutes=2"])
    assert members_at_once(timed, "cuda", "auto") == 1
    with pytest.raises(ConfigError, match=r"stack=4: expected off with training\.minutes"):
        members_at_once(timed, "cuda", 4)


def test_exact_runs_are_never_stacked(overrides: list[str]) -> None:
    content = compose(overrides).as_dict()
    content["runtime"]["policy"] = "exact"
    assert members_at_once(from_dict(content), "cuda", "auto") == 1
    with pytest.raises(ConfigError, match=r"runtime\.policy=exact"):
        members_at_once(from_dict(content), "cuda", 4)
