"""A job of a sweep finds the callbacks of its multirun in the folder of the sweep."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config.compose import compose, to_yaml
from lmlab.config.job_hooks import run_in_sweep, set_log_level
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.storage.io import write_json

CALLBACK = '''"""A callback that prints what a job gets."""

from hydra.experimental.callback import Callback


class Printing(Callback):
    def on_job_start(self, config, **kwargs):
        print("start", config.hydra.job.num, *config.hydra.overrides.task, config.optim.lr)

    def on_job_end(self, config, job_return, **kwargs):
        print("end", job_return.status.name)
'''


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs_for_test.py").write_text(CALLBACK)
    use_settings(tmp_path, monkeypatch, "trusted_packages: [jobs_for_test]\n")


def submitted(folder: Path, target: str) -> tuple[Path, RunConfig]:
    """Write a sweep of two jobs; return the file and the configuration of the second."""
    configs = [compose([f"seed={seed}", "arm=a", "optim.lr=0.5"]) for seed in (0, 1)]
    sweep = folder / "s" / "sweeps" / "0123abcd"
    (sweep / "jobs").mkdir(parents=True)
    manifest = {
        "names": ["a", "a"],
        "overrides": [["seed=0"], ["seed=1"]],
        "arms": [config.as_dict() for config in configs],
        "hydra": {"callbacks": {"mine": {"_target_": target}}},
    }
    write_json(sweep / "manifest.json", manifest)
    file = sweep / "jobs" / "a+seed1.yaml"
    file.write_text(to_yaml(configs[1]))
    return file, configs[1]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("code", "status"), [(0, "COMPLETED"), (1, "FAILED")])
def test_callbacks_surround_the_job(
    code: int, status: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, config = submitted(tmp_path, "jobs_for_test.Printing")

    def train() -> int:
        print("training")
        return code

    assert run_in_sweep(file, config, train) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["start 1 seed=1 0.5", "training", f"end {status}"]


def test_a_callback_is_checked_again_where_it_is_built(tmp_path: Path) -> None:
    file, config = submitted(tmp_path, "os.system")
    with pytest.raises(ConfigError, match=r"hydra\.callbacks\.mine\._target_=os\.system"):
        run_in_sweep(file, config, lambda: 0)


def test_a_configuration_outside_a_sweep_runs_alone(tmp_path: Path) -> None:
    config = compose()
    assert run_in_sweep(tmp_path / "config.yaml", config, lambda: 7) == 7


def test_verbose_names_loggers() -> None:
    names = ["first.of.test", "second.of.test"]
    set_log_level(names)
    assert [logging.getLogger(name).level for name in names] == [logging.DEBUG, logging.DEBUG]
    assert logging.getLogger("third.of.test").level == logging.NOTSET
    set_log_level(False)
