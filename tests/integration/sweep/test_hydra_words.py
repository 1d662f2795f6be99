"""Hydra's own words in real multiruns: ranges, zips, callbacks, variables, several studies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sweep_fixtures import Sweeps

CALLBACK = '''"""A callback that records each call in a file of the process that makes it."""

import os

from hydra.experimental.callback import Callback


class Recording(Callback):
    def __init__(self, folder):
        self.folder = folder

    def record(self, line):
        with open(os.path.join(self.folder, "calls.txt"), "a") as file:
            file.write(f"{line} {os.environ.get('SET_FOR_TEST')} {os.getpid()}\\n")

    def on_multirun_start(self, config, **kwargs):
        self.record("multirun_start")

    def on_multirun_end(self, config, **kwargs):
        self.record("multirun_end")

    def on_job_start(self, config, **kwargs):
        folder = config.hydra.runtime.output_dir
        self.record(f"start {config.hydra.job.num} {os.path.exists(folder + '/status.json')}")

    def on_job_end(self, config, job_return, **kwargs):
        with open(config.hydra.runtime.output_dir + "/status.json") as file:
            done = '"done"' in file.read()
        self.record(f"end {config.hydra.job.num} {done}")
'''
SHORT = ["training.steps=1", "schedule.warmup_steps=0", "samples.count=0"]


def swept(sweeps: Sweeps, study: str) -> list[list[str]]:
    """The overrides of each job of the only sweep of a study."""
    (manifest,) = (sweeps.outputs / study / "sweeps").glob("*/manifest.json")
    jobs = json.loads(manifest.read_text())["overrides"]
    shared = set.intersection(*map(set, jobs))
    return [[text for text in job if text not in shared] for job in jobs]


def test_a_multirun_runs_what_is_written(sweeps: Sweeps) -> None:
    """An exact range, and callbacks and variables around each job in its own process."""
    (sweeps.folder / "packages" / "recording_for_test.py").write_text(CALLBACK)
    settings = sweeps.folder / "settings" / "lmlab" / "config.yaml"
    settings.write_text("trusted_packages: [recording_for_test]\n")
    printed = sweeps.run(
        *SHORT, "-m", "study=exact", "optim.lr=range(3e-4,9e-4,3e-4)",
        f"+hydra.callbacks.it={{_target_:recording_for_test.Recording,folder:{sweeps.folder}}}",
        "+hydra.job.env_set.SET_FOR_TEST=given", "hydra.launcher.report=no",
        "hydra.launcher.plan_only=off",
    )  # fmt: skip
    assert "2 of 2 runs are done" in printed
    assert "report:" not in printed
    assert swept(sweeps, "exact") == [["optim.lr=0.0003"], ["optim.lr=0.0006"]]
    calls = [line.split() for line in (sweeps.folder / "calls.txt").read_text().splitlines()]
    assert calls[0][0] == "multirun_start" and calls[-1][0] == "multirun_end"
    assert sorted(call[:3] for call in calls[1:-1]) == [
        ["end", "0", "True"], ["end", "1", "True"],
        ["start", "0", "False"], ["start", "1", "False"],
    ]  # fmt: skip
    assert {call[-2] for call in calls} == {"given"}
    processes = {call[1]: call[-1] for call in calls[1:-1]}
    assert len({*processes.values(), calls[0][-1]}) == 3, "each job calls in its own process"


def test_zipped_axes_are_swept_together(sweeps: Sweeps) -> None:
    sweeps.run(
        *SHORT, "-m", "study=zipped", "zip(optim.lr=1e-3:3e-3, model.norm=rms:post)",
        "hydra.launcher.report=false",
    )  # fmt: skip
    assert swept(sweeps, "zipped") == [
        ["optim.lr=0.001", "model/norm=rms"], ["optim.lr=0.003", "model/norm=post"],
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.slow
def test_several_studies_run_one_after_another(sweeps: Sweeps) -> None:
    conf = sweeps.folder / "own" / "experiment"
    conf.mkdir(parents=True)
    for name, norm in (("first", "post"), ("second", "none")):
        (conf / f"{name}.yaml").write_text(
            f"defaults: [{{override /design: comparison}}]\nstudy: {name}\ndesign:\n"
            f"  question: Which?\n  baseline: rms\n  lr: fixed\n  num_seeds: 1\n  extra_seeds: 0\n"
            f"  arms: {{rms: [model.norm=rms], {norm}: [model.norm={norm}]}}\n"
            "  tolerance: {parameters: 0.1}\n"
        )
    arguments = ["-m", "experiment=first,second", "--config-dir", str(conf.parent), *SHORT]
    planned = sweeps.run(*arguments, "hydra.launcher.plan_only=true")
    assert "first: 2 runs: 2 to train" in planned
    assert "second: 2 runs: 2 to train" in planned
    assert not list(sweeps.outputs.glob("*/*/seed*"))
    sweeps.run(*arguments)
    for name, arms in (("first", {"rms", "post"}), ("second", {"none"})):
        assert {run.partition("+lr-")[0] for run in sweeps.runs(name)} == arms
        assert (sweeps.outputs / name / "report.html").is_file()
    planned = sweeps.run(*arguments, "hydra.launcher.plan_only=true", "design.num_seeds=2")
    assert "first: 4 runs: 2 complete, 2 to train" in planned
    assert "second: 4 runs: 1 complete, 1 reused, 2 to train" in planned
    assert "model.norm=none" in planned and "reused from first/rms+lr-0.003" in planned


@pytest.mark.long
def test_a_sampling_sweeper_gets_the_losses_of_its_batches(sweeps: Sweeps, tmp_path: Path) -> None:
    """A sweeper of another package chooses the second batch by the results of the first."""
    package = sweeps.folder / "packages" / "hydra_plugins" / "sampler_for_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SAMPLER)
    (sweeps.folder / "own" / "hydra" / "sweeper").mkdir(parents=True)
    (sweeps.folder / "own" / "hydra" / "sweeper" / "sampler.yaml").write_text(
        "# @package hydra.sweeper\n_target_: hydra_plugins.sampler_for_test.Sampler\n"
    )
    printed = sweeps.run(
        "--config-dir", str(sweeps.folder / "own"), "-m", "hydra/sweeper=sampler", *SHORT,
        "study=sampled", "training.steps=10",
    )  # fmt: skip
    assert "best: seed=0 optim.lr=0.01" in printed
    assert "3 of 3 runs are done" in printed, "the report counts all batches"
    assert (sweeps.outputs / "sampled" / "report.html").is_file()


SAMPLER = '''"""A sweeper that tries two rates, then one above the better of them."""

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class Sampler(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        jobs = [[*arguments, "seed=0", f"optim.lr={rate}"] for rate in (1e-4, 1e-2, 1e-2)]
        results = self.launcher.launch(jobs, initial_job_idx=0)
        assert results[1].return_value == results[2].return_value
        best = min(results, key=lambda result: result.return_value)
        self.launcher.launch([[*arguments, "seed=0", "optim.lr=2e-2"]], initial_job_idx=3)
        print("best:", *best.overrides[-2:])
'''
