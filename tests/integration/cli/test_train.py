"""``python -m lmlab.train`` as typed: help, training, resuming, sweeps and studies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from warm import run_command

from lmlab.config.paths import conf_folder


def fresh(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a new Python process, which also tests its imports."""
    command = [sys.executable, "-m", f"lmlab.{name}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def lmlab(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_command(name, *arguments, cwd=cwd, env=os.environ | {"WANDB_MODE": "offline"})


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """Overrides of a run of about a second, on a text in the same folder."""
    (tmp_path / "train.txt").write_text("The cat sat on the mat and saw a dog. " * 200)
    (tmp_path / "valid.txt").write_text("A dog sat on the cat and saw the mat. " * 10)
    return [
        "data=text", "data.train=train.txt", "data.valid=valid.txt", "model.vocab_size=270",
        "model.context_length=16", "model.d_model=16", "model.num_layers=1", "model.num_heads=2",
        "training.steps=6", "training.batch_size=2", "schedule.warmup_steps=1", "logger=none",
        "runtime.device=cpu", "samples.max_new_tokens=5", "validation.every_steps=3",
    ]  # fmt: skip


def test_help_lists_groups_options_keys_and_examples(tmp_path: Path) -> None:
    done = fresh("train", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for group in conf_folder().rglob("*"):
        if group.is_dir() and group.relative_to(conf_folder()).parts[0] != "hydra":
            options = sorted(path.stem for path in group.glob("*.yaml"))
            name = str(group.relative_to(conf_folder()))
            assert f"{name}: {', '.join(options)}" in done.stdout
    for part in ("weight_decay:", "grad_clip_norm:", "python -m lmlab.train -m optim.lr="):
        assert part in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_cfg_prints_the_configuration_without_training(tmp_path: Path) -> None:
    done = fresh("train", "model.norm=post", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["model"]["norm"]["_target_"] == "lmlab.nn.norm.PostRMSNorm"
    assert list(tmp_path.iterdir()) == []


def test_train_skip_continue_and_generate(tmp_path: Path, small: list[str]) -> None:
    arguments = [*small, "arm=x", "schedule=constant", "schedule.warmup_steps=1"]
    first = lmlab("train", *arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    run = tmp_path / "outputs" / "runs" / "x" / "seed0"
    for part in ("done at step 6 of 6", "validation loss", "bits per byte", "learning_curve.png"):
        assert part in first.stdout
    assert (run / "learning_curve.png").exists()

    again = lmlab("train", *arguments, cwd=tmp_path)
    assert again.returncode == 0
    assert "already complete; skipping" in again.stderr
    assert again.stdout == first.stdout, "the summary is the same"

    longer = lmlab(
        "train",
        *arguments,
        "training.steps=9",
        "arm=y",
        "parent=outputs/runs/x/seed0",
        cwd=tmp_path,
    )
    assert longer.returncode == 0, longer.stderr
    assert "extending outputs/runs/x/seed0 from step 6" in longer.stderr

    texts = [
        lmlab("generate", f"run={run}", "prompt=The cat", f"seed={seed}", "max_new_tokens=20",
              cwd=tmp_path)
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert [done.returncode for done in texts] == [0, 0, 0], texts[0].stderr
    assert texts[0].stdout.startswith("The cat")
    assert texts[0].stdout == texts[1].stdout != texts[2].stdout
    many = lmlab("generate", f"run={run}", "prompt=The", "prompt=A", "count=2", "top_k=3",
                 "checkpoint=last", cwd=tmp_path)  # fmt: skip
    assert many.returncode == 0, many.stderr
    assert many.stdout.count("--- ") == 4

    listed = lmlab("outputs", cwd=tmp_path)
    assert "runs/x/seed0" in listed.stdout
    assert "done" in listed.stdout


def test_a_job_that_cannot_run_is_refused_before_any_starts(
    tmp_path: Path, small: list[str]
) -> None:
    # The second job asks for a context longer than the validation text.
    done = lmlab("train", *small, "-m", "model.context_length=8,1000,16", "study=s", cwd=tmp_path)
    assert done.returncode == 2
    assert "model.context_length=1000: expected at least 1001 tokens" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("outputs/s/*/seed*"))


@pytest.mark.long
def test_an_experiment_runs_its_arms_from_any_folder(tmp_path: Path, small: list[str]) -> None:
    quick = ["design.lr=fixed", "design.num_seeds=1"]
    done = lmlab("train", "experiment=ablate_norm", *quick, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = sorted(
        path.parents[1].name for path in tmp_path.glob("outputs/ablate_norm/*/*/meta.json")
    )
    assert runs == [f"{arm}+lr-0.003" for arm in ("layernorm", "none", "post", "rms")]
    assert "4 of 4 runs are done" in done.stdout


def test_help_of_other_commands_names_the_command(tmp_path: Path) -> None:
    for name in ("generate", "outputs", "run", "runs.stacked"):
        done = fresh(name, "--help", cwd=tmp_path)
        assert done.returncode == 0
        assert f"usage: python -m lmlab.{name}" in done.stdout
