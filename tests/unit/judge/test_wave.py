"""Waves: where they are trained, and what their runs show."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from judged_ideas import SimulatedLauncher, started

from lmlab.errors import ConfigError, DataError
from lmlab.judge.idea import compose_arms
from lmlab.judge.wave import make_launcher, read_wave, run_wave, submitted_sweep

Texts = tuple[Path, Path]


def test_runs_are_trained_by_the_launchers_of_sweeps() -> None:
    local: Any = make_launcher(["hydra.launcher.jobs_per_device=1", "hydra.launcher.stack=off"])
    assert type(local).__name__ == "LocalLauncher"  # Hydra may have imported the module twice
    assert (local.jobs_per_device, local.stack, local.report) == (1, "off", False)
    cluster: Any = make_launcher(["hydra/launcher=slurm", "hydra.launcher.gpus=2"])
    assert type(cluster).__name__ == "SlurmLauncher"
    assert cluster.settings["resources"]["gpus"] == 2 and cluster.report is False


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optim.lr=1"], "expected hydra/launcher=NAME"),
        (["hydra.launcher.gpu=1"], "gpu"),
        (["hydra/launcher=slurm", "hydra.launcher.wait=false"], "wait=False: expected True"),
        (["hydra.launcher.plan_only=true"], "plan_only=True: expected False"),
        (["hydra/launcher=cloud"], "cloud"),
    ],
)
def test_launchers_that_would_not_wait_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_launcher(overrides)


def test_pairs_are_read_up_to_the_first_that_is_incomplete(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts)
    arms = compose_arms(stream, "good", ("optim.weight_decay=0.1",), stream.next_seeds())
    assert run_wave(arms.manifest(4), SimulatedLauncher(code=130, most=6)) == 130
    found = read_wave(arms.manifest(4))
    assert [pair.seed for pair in found.pairs] == [0, 1]  # four runs of the baseline, two of it
    assert len(found.runs) == 6 and found.runs[0].startswith("judge-ideas/")
    assert run_wave(arms.manifest(4), SimulatedLauncher()) == 0
    found = read_wave(arms.manifest(4))
    assert len(found.pairs) == 4 and found.seconds == 2.0
    assert found.rates == (3e-3, 3e-3) or found.rates[0] == found.rates[1]
    assert all(pair.idea is not None and pair.baseline > pair.idea for pair in found.pairs)


def test_a_wave_is_told_from_that_of_another_idea(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts)
    one, other = (
        compose_arms(stream, name, (f"optim.weight_decay={decay}",), stream.next_seeds())
        for name, decay in (("one", 0.1), ("other", 0.2))
    )
    run_wave(one.manifest(3), SimulatedLauncher())
    with pytest.raises(DataError, match="the wave is missing"):
        submitted_sweep(one.manifest(4))
    run_wave(other.manifest(3), SimulatedLauncher())
    assert {Path(run).parts[1].partition("+")[0] for run in read_wave(one.manifest(3)).runs} == {
        "baseline", "one"
    }  # fmt: skip


def test_what_launchers_print_leaves_the_output_to_programs(tmp_path: Path, texts: Texts) -> None:
    class Loud(SimulatedLauncher):
        def run_sweep(self, manifest: object) -> int:
            print("a table")
            return 0

    _, stream = started(tmp_path, texts)
    arms = compose_arms(stream, "good", ("optim.weight_decay=0.1",), stream.next_seeds())
    with redirect_stdout(io.StringIO()) as printed:
        run_wave(arms.manifest(3), Loud())
    assert printed.getvalue() == ""
