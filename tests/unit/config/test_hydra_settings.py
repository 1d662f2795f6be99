"""Every setting below ``hydra`` takes effect or is refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hydra.conf import HydraConf, JobConf

from lmlab.config import hydra_app
from lmlab.config.run_config import RunConfig


def never(config: RunConfig) -> int:
    raise AssertionError("nothing is run")


# What of HydraConf and JobConf is supported; the tests below refuse everything else.
SUPPORTED = {"mode", "sweeper", "launcher", "callbacks", "help", "hydra_help", "verbose", "job"}
SUPPORTED_OF_JOBS = {"env_set", "env_copy", "config"}

REFUSED = [
    (["hydra.run.dir=elsewhere"], "hydra.run.dir=elsewhere", "output_root"),
    (["hydra.sweep.dir=elsewhere"], "hydra.sweep.dir", "output_root"),
    (["-m", "hydra.sweep.subdir=x"], "hydra.sweep.subdir=x", "output_root"),
    (["hydra.output_subdir=x"], "hydra.output_subdir=x", "config.yaml"),
    (["hydra.searchpath=[file:///tmp]"], "hydra.searchpath", "--config-dir"),
    (["hydra/job_logging=default"], "hydra.job_logging", "train.log"),
    (["hydra/hydra_logging=default"], "hydra.hydra_logging", "hydra.verbose"),
    (["hydra.job.chdir=true"], "hydra.job.chdir=true", "start the command"),
    (["hydra.job.name=x"], "hydra.job.name=x", "study=... or arm=..."),
    (["hydra.job.id=x"], "hydra.job.id=x", "remove it"),
    (["hydra.job.num=3"], "hydra.job.num=3", "remove it"),
    (["hydra.job.override_dirname=x"], "hydra.job.override_dirname", "remove it"),
    (["hydra.job.config_name=x"], "hydra.job.config_name", "remove it"),
    (["hydra.runtime.cwd=/tmp"], "hydra.runtime", "remove it"),
    (["hydra.overrides.task=['a=1']"], "hydra.overrides", "remove it"),
    (["+hydra.colour=1"], "hydra.colour", "remove it"),
    (["hydra.verbose=3"], "hydra.verbose=3", "names of loggers"),
    (["hydra.job.env_copy=[NO_SUCH_VARIABLE]"], "hydra.job.env_copy=NO_SUCH_VARIABLE", "export"),
    (["+hydra.callbacks.a._target_=os.system"], "hydra.callbacks.a._target_=os.system", "trust"),
    (["+hydra.callbacks.a={_target_:hydra.experimental.callbacks.PickleJobInfoCallback,"
      "x:{_target_:os.system}}"], "_target_=os.system", "trust"),
    (["+hydra.callbacks.a=1"], "hydra.callbacks.a=1", "expected a callback"),
    (["hydra/launcher=slurm"], "hydra/launcher=slurm", "add -m"),
    (["hydra.launcher.plan_only=true"], "hydra.launcher.plan_only=true", "add -m"),
    (["hydra/sweeper=basic"], "hydra/sweeper=basic", "add -m"),
    (["+hydra.sweeper.params.seed='1,2'"], "hydra.sweeper.params.seed", "add -m"),
    (["zip(seed=1:2, training.steps=1:2)"], "zip(seed=1,2", "add -m"),
    (["hydra.mode=SOMETIMES"], "hydra.mode=SOMETIMES", "RUN or MULTIRUN"),
    (["-m", "hydra.mode=RUN"], "hydra.mode=RUN", "MULTIRUN with -m"),
    (["experiment=ablate_norm", "hydra.mode=RUN"], "design", "remove hydra.mode=RUN"),
    (["design=comparison", "design.question=x", "design.arms={a:[]}"], "design", "add -m"),
    (["-m", "hydra/sweeper=basic", "seed=0,1"], "hydra/sweeper=basic", "expected lmlab"),
    (["-m", "hydra/sweeper=optuna", "seed=0,1"], "hydra/sweeper=optuna", "is not installed"),
    (["-m", "hydra/launcher=basic", "seed=0,1"], "hydra/launcher=basic", "jobs_per_device"),
    (["-m", "hydra/launcher=joblib", "seed=0,1"], "hydra/launcher=joblib", "lmlab, slurm"),
    (["-m", "hydra.launcher._target_=os.system", "seed=0,1"], "hydra/launcher", "lmlab, slurm"),
    (["-m", "hydra.sweeper.max_batch_size=2"], "hydra.sweeper.max_batch_size=2", "jobs_per_device"),
    (["-m", "hydra.launcher.plan_only=maybe"], "plan_only=maybe", "true or false"),
    (["-m", "hydra/launcher=slurm", "hydra.launcher.wait=maybe"], "wait=maybe", "true or false"),
    (["-m", "hydra/launcher=slurm", "hydra.launcher.retries=some"], "retries=some", "an integer"),
    (["-m", "+hydra.launcher.colour=1"], "hydra.launcher.colour=1", "expected one of"),
    (["-m", "model.norm=rms,post", "model/norm=none,layernorm"], "model/norm=none", "already"),
    (["-m", "model.norm=glob(zz*)"], "glob(zz*)", "layernorm, none, post, rms"),
    (["-m", "seed=range(a,b)"], "mismatch type argument start", "if this is a text"),
    (["-m", "seed=0,1", "experiment=unicode"], "demo: expected null", "remove -m"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "named", "advice"), REFUSED, ids=lambda one: str(one)[:50])
def test_a_setting_without_effect_is_refused_by_its_name(
    arguments: list[str],
    named: str,
    advice: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hydra_app.main(arguments, never) == 2
    printed = capsys.readouterr().err
    assert named in printed and advice in printed
    assert list(tmp_path.iterdir()) == []


def test_every_setting_of_hydra_is_supported_or_refused() -> None:
    refused = {text.lstrip("+").replace("/", ".") for arguments, _, _ in REFUSED
               for text in arguments}  # fmt: skip
    for kind, prefix, supported in (
        (HydraConf, "hydra", SUPPORTED),
        (JobConf, "hydra.job", SUPPORTED_OF_JOBS),
    ):
        for field in dataclasses.fields(kind):
            key = f"{prefix}.{field.name}"
            is_tested = any(text.startswith((f"{key}=", f"{key}.")) for text in refused)
            assert is_tested or field.name in {*supported, "defaults"}, key


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("run: {dir: elsewhere}", "hydra.run.dir=elsewhere"),
        ("job: {chdir: true}", "hydra.job.chdir=true"),
        ("launcher: {plan_only: true}", "hydra.launcher.plan_only=true"),
        ("callbacks: {mine: {_target_: os.system}}", "hydra.callbacks.mine._target_=os.system"),
        ("sweep: {subdir: x}", "hydra.sweep.subdir=x"),
    ],
)
def test_a_file_is_refused_like_the_command_line(
    setting: str, named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"hydra:\n  {setting}\n")
    assert hydra_app.main(["--config-dir", str(tmp_path), "experiment=mine"], never) == 2
    assert named in capsys.readouterr().err


def test_the_defaults_may_be_typed() -> None:
    typed = ["hydra.run.dir=.", "hydra.job.chdir=false", "hydra.mode=RUN", "hydra.verbose=false"]
    assert hydra_app.main(typed, lambda config: 7) == 7
