"""A budget of tokens or FLOPs gives the steps of a run, which is then the run of these steps."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.config import hydra_app
from lmlab.config.compose import compose, load_frozen, to_yaml, with_steps
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_length import count_steps
from lmlab.design.identifying_settings import identifying_settings
from lmlab.design.matched_tokens import match_tokens
from lmlab.design.run_keys import arm_settings
from lmlab.errors import ConfigError

# 4 sequences of 32 tokens, a model of one block whose FLOPs are counted by hand below.
SMALL = [
    "scale=smoke", "training.batch_size=4", "model.context_length=32", "model.d_model=16",
    "model.num_layers=1", "model.num_heads=2", "model.d_ff=40", "model.vocab_size=300",
    "model/ffn=gelu",
]  # fmt: skip


def forward_flops() -> int:
    """FLOPs of a forward pass over one sequence: 2 per multiplication of each matrix product."""
    tokens, width, d_ff, vocabulary = 32, 16, 40, 300
    projections = 4 * width * width
    per_token = projections + 2 * width * d_ff + vocabulary * width
    scores = 2 * tokens * tokens * width  # queries times keys, and weights times values
    return 2 * (tokens * per_token + scores)


@functools.cache
def steps_of(*overrides: str) -> int:
    return compose([*SMALL, *overrides]).training.steps


def test_the_number_of_steps_nearest_to_the_tokens() -> None:
    assert steps_of("training.tokens=12800") == 100
    assert [steps_of(f"training.tokens={tokens}") for tokens in (12863, 12865)] == [100, 101]
    assert steps_of("training.tokens=12800", "training.batch_size=8") == 50
    assert steps_of("training.tokens=12800", "model.context_length=64") == 50


def test_three_times_the_forward_flops_of_all_batches() -> None:
    per_update = 3 * 4 * forward_flops()
    assert steps_of(f"training.flops={50 * per_update}") == 50
    assert steps_of(f"training.flops={50.4 * per_update}") == 50
    assert steps_of(f"training.flops={50.6 * per_update}") == 51
    half = ["training.batch_size=2", "training.micro_batch_size=1"]
    assert steps_of(f"training.flops={50 * per_update}", *half) == 100


@pytest.mark.parametrize("budget", ["tokens=12800", f"flops={100 * 12 * forward_flops()}"])
def test_it_is_the_run_of_the_same_steps(budget: str, tmp_path: Path) -> None:
    by_steps = compose([*SMALL, "training.steps=100"])
    by_budget = compose([*SMALL, f"training.{budget}"])
    assert identity_settings(by_budget) == identity_settings(by_steps)
    left, right = (one.as_dict() | {"arm": ""} for one in (by_budget, by_steps))
    assert identifying_settings(left) == identifying_settings(right)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(by_budget))
    assert load_frozen(path) == by_budget
    assert load_frozen(path).training.steps == 100


def test_warm_up_follows_the_steps() -> None:
    assert compose([*SMALL, "training.tokens=768"]).schedule.warmup_steps == 6  # of 6 steps
    fraction = compose([*SMALL, "training.tokens=12800", "schedule.warmup=0.5"])
    again = compose([*SMALL, "training.steps=100", "schedule.warmup=0.5"])
    assert identity_settings(fraction) == identity_settings(again)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.steps=5", "training.tokens=1e4"], "training.steps=5 and training.tokens="),
        (["training.flops=1e9", "training.tokens=1e4"], "training.tokens=10000.0 and training.fl"),
        (["training={steps: 5, flops: 1e9}"], "training.steps=5 and training.flops="),
        (["training.steps=5", "training.minutes=2"], "training.steps=5 and training.minutes=2.0"),
        (["training.minutes=0"], "training.minutes=0.0: expected a finite number above 0, or null"),
        (["training.minutes=2", "parent=x"], "training.minutes=2.0: expected null with parent"),
        (["training.tokens=0"], "training.tokens=0.0: expected a finite number above 0, or null"),
        (["training.flops=inf"], "training.flops=inf: expected a finite number above 0, or null"),
        (["training.tokens=nan"], "training.tokens=nan: expected a finite"),
        (["training.tokens=60"], "training.tokens=60.0: expected at least 128, which one update"),
        (["training.flops=10"], "training.flops=10.0: expected at least "),
        (["training.tokens=many"], "training.tokens=many: expected a number"),
        (["training.tokens=1e4", "training.batch_size=0"], "training.batch_size=0: expected 1"),
        (["training.flops=1e9", "model.num_heads=0"], "model.num_heads=0: expected 1 or more"),
        (["training.flops=1e9", "model.num_heads=3"], "model.num_heads=3: expected a divisor"),
    ],
)
def test_a_length_that_cannot_be(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([*SMALL, *overrides])
    assert caught.value.message.startswith(message)


def test_null_is_no_length() -> None:
    assert steps_of("training.steps=20", "training.tokens=null") == 20
    assert steps_of("training.tokens=null", "training.flops=null") == 64  # of the scale


@pytest.mark.parametrize(
    ("kind", "in_file", "typed", "steps"),
    [
        ("experiment", "training.tokens: 12800", [], 100),
        ("overrides", "training.tokens: 12800", ["training.steps=20"], 20),
        ("experiment", "training.tokens: 12800", ["training.steps=20"], 20),
        ("overrides", "training.steps: 7", ["training.tokens=12800"], 100),
        ("overrides", "training: {flops: 1.0e+15}", ["training.tokens=12800"], 100),
        ("experiment", "training: {flops: 1.0e+15}", ["training.tokens=12800"], 100),
        ("experiment", "training.tokens: 12800", ["training.tokens=null"], 64),
    ],
)
def test_the_command_line_replaces_the_length_of_a_file(
    kind: str, in_file: str, typed: list[str], steps: int, tmp_path: Path
) -> None:
    path = tmp_path / ("mine.yaml" if kind == "overrides" else "experiment/mine.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{in_file}\n")
    selected = ["--config", str(path)]
    if kind == "experiment":
        selected = [f"--config-dir={tmp_path}", "experiment=mine"]
    found = []
    arguments = [*selected, *SMALL, *typed]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    assert found[0].training.steps == steps
    given = [name for name in ("tokens", "flops") if getattr(found[0].training, name)]
    assert given == ([] if steps != 100 else ["tokens"])


@pytest.mark.parametrize(
    ("scale", "experiment", "steps"),
    [("tokens: 12800", "steps: 7", 7), ("steps: 7", "tokens: 12800", 100)],
)
def test_an_experiment_replaces_the_length_of_a_scale(
    scale: str, experiment: str, steps: int, tmp_path: Path
) -> None:
    for group, length in (("scale", scale), ("experiment", experiment)):
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(f"training.{length}\n")
    with (tmp_path / "scale/mine.yaml").open("a") as file:
        file.write("defaults: [smoke]\n")
    found = []
    sizes = [one for one in SMALL if not one.startswith("scale")]
    arguments = [f"--config-dir={tmp_path}", "scale=mine", "experiment=mine", *sizes]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    assert found[0].training.steps == steps


def test_two_lengths_in_one_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("training: {steps: 5, tokens: 12800}\n")
    arguments = [f"--config-dir={tmp_path}", "experiment=mine", *SMALL]
    assert hydra_app.main(arguments, lambda config: 0) == 2
    printed = capsys.readouterr().err
    assert "training.steps=5 and training.tokens=12800: expected one length of the run" in printed


def test_a_model_without_counts_needs_another_length() -> None:
    content = compose([*SMALL, "training.flops=1e9"]).as_dict()
    content["model"]["ffn"] = {"_target_": "mine.ffn.Mine"}
    with pytest.raises(ConfigError) as caught:
        count_steps(content)
    assert caught.value.message.startswith(
        "training.flops=1000000000.0: model.ffn._target_=mine.ffn.Mine: "
    )
    assert caught.value.help is not None
    assert caught.value.help.endswith("or set training.tokens or training.steps")


def test_cfg_prints_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--cfg", "job", "--package", "training", *SMALL, "training.tokens=12800"]
    assert hydra_app.main(arguments, lambda config: 0) == 0
    assert "steps: 100\n" in capsys.readouterr().out


def test_different_minutes_are_different_runs_until_they_are_steps() -> None:
    short, long = (compose([*SMALL, f"training.minutes={minutes}"]) for minutes in (1, 2))
    assert arm_settings(short.as_dict()) != arm_settings(long.as_dict())
    known = [arm_settings(with_steps(one, 100).as_dict()) for one in (short, long)]
    assert known[0] == known[1]


def test_equal_tokens_need_known_steps() -> None:
    arm = compose([*SMALL, "training.minutes=2"]).as_dict()
    with pytest.raises(ConfigError, match=r"minutes=2: expected null with design\.hold_tokens"):
        match_tokens(arm, arm)


def test_flops_are_counted_without_torch() -> None:
    code = (
        "import sys; from lmlab.config.compose import compose; "
        "compose(['training.flops=1e15']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_flops_of_documents_are_no_budget() -> None:
    with pytest.raises(ConfigError, match=r"expected null with data\.windows=document") as refused:
        compose(["training.flops=1e12", "data.windows=document"])
    assert refused.value.help == "set training.tokens or training.steps"
