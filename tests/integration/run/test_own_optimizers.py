"""Optimizers, layers and schedules of a user: exact resume, or one line before training starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import own_parts
import pytest
import torch
from optimizer_cases import TORCH_OPTIMIZERS
from safetensors.torch import load_file
from stacks import members, runs

from lmlab.build import user_code
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.stacked.execute_stack import execute_stack

STEPS, RESUME_AT = 8, 4


@pytest.fixture
def wanted(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    own_parts.trust(tmp_path / "settings", monkeypatch)
    return [
        *overrides, f"training.steps={STEPS}", "checkpoint.every_steps=4", "samples.count=0",
        "validation.every_steps=8", "training.log_every=1", "validation.max_tokens=50",
    ]  # fmt: skip


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Make an option of ``optim`` that has these settings only."""

    def make(target: str, **settings: object) -> str:
        folder = tmp_path / "conf" / "optim"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"_target_: {target}", *(f"{key}: {value}" for key, value in settings.items())]
        (folder / "mine.yaml").write_text("\n".join(lines) + "\n")
        file = tmp_path / "settings" / "lmlab" / "config.yaml"
        file.write_text(f"trusted_packages: [own_parts]\nsearch_path: [{tmp_path / 'conf'}]\n")
        return "optim=mine"

    return make


def weights(run: RunFolder, step: int = STEPS) -> bytes:
    return (run.checkpoints / f"step_{step:08d}" / "model.safetensors").read_bytes()


def resume_from(wanted: list[str], run: RunFolder, step: int) -> RunFolder:
    """Take from a finished run all that came after a checkpoint, and resume it."""
    for folder in run.checkpoints.iterdir():
        if int(folder.name.rpartition("_")[2]) > step:
            shutil.rmtree(folder)
    (run.path / "status.json").unlink()
    resumed = execute(compose(wanted)).run
    assert len(resumed.meta()["sessions"]) == 2 and resumed.path == run.path
    return resumed


@pytest.mark.parametrize("name", ["InAttribute", "InFurtherEntry", "TensorInGroup", "ListInState"])
def test_state_in_odd_places_is_saved_and_restored(wanted, choose, name: str) -> None:
    wanted = [*wanted, choose(f"own_parts.{name}", lr=0.05)]
    run = execute(compose(wanted)).run
    assert run.status()["status"] == "done"
    expected = weights(run)
    assert weights(resume_from(wanted, run, RESUME_AT)) == expected


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        ("ObjectInGroup", r"a Counter in its param_groups\[0\]\['counter'\]"),
        ("ObjectInAttribute", r"ObjectInAttribute: counter changes during training and is not"),
        ("NeedsClosure", r"step\(\) needs no closure"),
    ],
)
def test_state_that_a_checkpoint_cannot_hold_is_refused_before_training(
    wanted, choose, tmp_path: Path, optimizer: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^optim.*{reason}.*\nhelp: "):
        execute(compose([*wanted, choose(f"own_parts.{optimizer}", lr=0.05)]))
    assert not list(tmp_path.glob("outputs/runs/*/seed0"))


def test_an_optimizer_without_a_rate_is_one_line(wanted, choose) -> None:
    with pytest.raises(ConfigError, match=r"expected a number as the lr of each.*found none\nhelp"):
        execute(compose([*wanted, choose("own_parts.NoRate")]))


@pytest.mark.parametrize("how", ["attribute", "unsaved"])
def test_statistics_outside_a_saved_buffer_are_refused(wanted, tmp_path: Path, how: str) -> None:
    layer = ["model.ffn={_target_: own_parts.Statistics}", f"+model.ffn.how={how}", "model.d_ff=24"]
    with pytest.raises(ConfigError, match=r"blocks\.0\.ffn\.sublayer\.mean.* changes during train"):
        execute(compose([*wanted, *layer]))
    assert not list(tmp_path.glob("outputs/runs/*/seed0"))


@pytest.mark.parametrize("policy", ["exact", "bf16"])
def test_statistics_in_a_saved_buffer_resume_exactly(wanted, policy: str) -> None:
    wanted = [
        *wanted, "model.ffn={_target_: own_parts.Statistics}", "+model.ffn.how=saved",
        "model.d_ff=24", f"runtime.policy={policy}", "runtime.compile=false",
    ]  # fmt: skip
    run = execute(compose(wanted)).run
    expected = weights(run)
    assert weights(resume_from(wanted, run, RESUME_AT)) == expected
    saved = load_file(run.checkpoints / f"step_{STEPS:08d}" / "model.safetensors")
    assert float(saved["blocks.0.ffn.sublayer.mean"].abs().max()) > 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [("counting_schedule", "a function of the step alone"), ("text_schedule", "a finite number")],
)
def test_a_schedule_with_a_memory_or_without_a_number_is_refused(wanted, name, reason) -> None:
    wanted = [one for one in wanted if not one.startswith("schedule.")]
    with pytest.raises(ConfigError, match=rf"schedule\._target_=own_parts\.{name}: .*{reason}"):
        execute(compose([*wanted, "schedule=constant", "~schedule.warmup_steps",
                         f"schedule._target_=own_parts.{name}"]))  # fmt: skip


def test_every_optimizer_of_torch_is_tried() -> None:
    classes = {name for name in dir(torch.optim) if isinstance(getattr(torch.optim, name), type)}
    assert classes - {"Optimizer", "LBFGS", "SparseAdam", "Muon"} == set(TORCH_OPTIMIZERS)


@pytest.mark.long
@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_every_optimizer_of_torch_resumes_exactly(wanted, choose, name: str) -> None:
    wanted = [*wanted, choose(f"torch.optim.{name}", lr=0.01)]
    run = execute(compose(wanted)).run
    expected = weights(run)
    assert weights(resume_from(wanted, run, RESUME_AT)) == expected


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("LBFGS", {"lr": 1.0}, "several times per update"),
        ("SparseAdam", {"lr": 0.01}, "sparse gradients"),
        ("Muon", {"lr": 0.01}, "matrices only"),
        ("Adam", {"lr": 0.01, "capturable": "true"}, "AssertionError: If capturable=True"),
        ("SGD", {"lr": 0.01, "differentiable": "true"}, "cannot update this model: RuntimeError"),
        ("AdamW", {"lr": 0.01, "fused": "true", "foreach": "true"}, "cannot be built"),
    ],
)
def test_an_optimizer_that_cannot_work_is_one_line(
    wanted, choose, tmp_path: Path, name: str, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^optim\._target_=torch\.optim\.{name}: .*{reason}"):
        execute(compose([*wanted, choose(f"torch.optim.{name}", **settings)]))
    assert not list(tmp_path.glob("outputs/runs/*/seed0"))


def test_a_layer_of_a_user_gets_a_width_under_auto(wanted) -> None:
    execute(compose([*wanted, "model.ffn={_target_: own_parts.Width}", "model.d_ff=auto"]))
    assert own_parts.Width.seen == 4 * 16


def test_rows_name_the_rate_of_each_setting(wanted, choose) -> None:
    muon = execute(compose([*wanted, "optim=muon", "optim.lr=0.02", "optim.adamw_lr=0.004"])).run
    factors = [(step + 1) / 2 for step in range(2)]  # warm-up
    rows = muon.rows("train")[:2]
    assert [row["lr"] for row in rows] == pytest.approx([0.02 * factor for factor in factors])
    assert [row["adamw_lr"] for row in rows] == pytest.approx([0.004 * f for f in factors])
    two = execute(compose([*wanted, "arm=two", choose("own_parts.TwoRates", lr=0.2)])).run
    row = two.rows("train")[1]
    assert (row["lr"], row["lr_embedding"], row["lr_vectors"]) == (0.2, 0.1, 0.1)


def test_changed_source_is_another_run_by_name(
    wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_package_for_test"
    package.mkdir()
    (package / "__init__.py").write_text("from own_parts import Width\n")
    (package / "layer.py").write_text(
        "import own_parts\n\nclass Mine(own_parts.Width):\n"
        "    def __init__(self, *, d_model: int, d_ff: int) -> None:\n"
        "        super().__init__(d_model=d_model, d_ff=d_ff)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = tmp_path / "settings" / "lmlab" / "config.yaml"
    settings.write_text("trusted_packages: [own_package_for_test]\n")
    mine = [*wanted, "model.ffn={_target_: own_package_for_test.layer.Mine}"]
    first = execute(compose(mine)).run
    code = {"own_package_for_test", "own_package_for_test.layer", "own_parts"}
    assert first.meta()["identity"]["code"].keys() == code
    assert first.meta()["sessions"][0]["packages"] == first.meta()["identity"]["code"]
    for text, is_same in (("# a comment\n", True), ("changed = True\n", False)):
        with open(package / "__init__.py", "a") as file:
            file.write(text)
        user_code.forget()
        assert (execute(compose(mine)).run.path == first.path) == is_same
    plain = execute(compose([*wanted, "arm=plain"])).run
    assert "code" not in plain.meta()["identity"]


@pytest.mark.parametrize("stacked", [False, True])
def test_every_keep_step_is_saved(wanted, tmp_path: Path, stacked: bool) -> None:
    wanted = [*wanted, "checkpoint.keep_steps=[0,3,5]", "checkpoint.keep_last=1"]
    if stacked:
        both = members(wanted, tmp_path, a=["seed=0"], b=["seed=1"])
        execute_stack([compose(one) for one in both])
        found = list(runs(tmp_path).values())
    else:
        found = [execute(compose(wanted)).run]
    for run in found:
        steps = sorted(path.name for path in run.checkpoints.glob("step_*"))
        assert steps == [f"step_{step:08d}" for step in (0, 3, 5, 8)]
