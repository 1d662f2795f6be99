"""What a sampling sweeper learns of its jobs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.batch_results import join_batches, read_results


def batch(root: Path, *seeds: int) -> Manifest:
    arms = [compose([f"seed={seed}", "arm=a", "study=s", f"output_root={root}"]).as_dict()
            for seed in seeds]  # fmt: skip
    return Manifest("s", "", arms, ["a" for _ in seeds], [[f"seed={seed}"] for seed in seeds])


@pytest.mark.parametrize(
    ("status", "losses", "expected", "final"),
    [
        ("done", [9.0, 2.5], "done", 2.5),
        ("diverged", [9.0, 11.0], "diverged", math.inf),
        ("done", [9.0, math.nan], "diverged", math.inf),
        ("failed", [9.0], "failed", None),
        ("done", [], "done", None),
    ],
)
def test_the_result_is_the_final_loss(
    status: str, losses: list[float], expected: str, final: float | None, tmp_path: Path
) -> None:
    manifest = batch(tmp_path, 0, 1)
    folder = SweepFolder.of(manifest, tmp_path)
    folder.write_manifest(manifest)
    run = RunFolder(tmp_path / "s" / "a" / "seed1")
    run.path.mkdir(parents=True)
    for step, loss in enumerate(losses):
        run.append_row({"kind": "validation", "step": step, "loss": loss})
    run.write_status(status)
    folder.add_entry(Job("a", None, 1, 1), ["run"], run)
    missing, result = read_results(manifest)
    assert missing.loss is None and missing.folder is None
    assert (result.status, result.loss, result.folder) == (expected, final, run.path)


def test_all_batches_become_one_sweep_without_repetitions(tmp_path: Path) -> None:
    joined = join_batches([batch(tmp_path, 0, 1), batch(tmp_path, 1, 2)])
    assert [arm["seed"] for arm in joined.arms] == [0, 1, 2]
    assert joined.overrides == [["seed=0"], ["seed=1"], ["seed=2"]]


def test_equal_numbers_make_one_job(tmp_path: Path) -> None:
    first, second = batch(tmp_path, 0), batch(tmp_path, 0)
    first.arms[0]["optim"] = {"weight_decay": 0}
    second.arms[0]["optim"] = {"weight_decay": 0.0}
    assert len(join_batches([first, second]).arms) == 1
