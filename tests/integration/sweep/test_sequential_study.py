"""A sequential study that is killed between its waves ends like one that was left alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep_fixtures import Sweeps

WaitFor = Callable[[Callable[[], bool]], None]
# No difference is significant at such a level, so that the arm takes all its seeds.
STUDY = [
    "experiment=ablate_norm", "study=waves", "output_root=outputs", "~design.arms",
    "+design.arms={rms: [], post: ['model.norm=post']}", "design.lr=fixed",
    "design.look=sequential", "design.max_seeds=5", "design.futility=0", "design.margin=0",
    "design.alpha=1e-9", "training.steps=8", "model.context_length=8", "model.num_layers=1",
    "validation.every_steps=4", "checkpoint.every_steps=2", "runtime.preflight=off",
]  # fmt: skip


@pytest.mark.long
def test_a_killed_study_takes_the_same_waves(
    tmp_path: Path, overrides: list[str], wait_for: WaitFor
) -> None:
    calm, killed = (_study_in(tmp_path / name, overrides) for name in ("calm", "kills"))
    printed = calm.run()
    assert "seed 4 for post" in printed and "seed 5 for post" in printed
    assert "post: max_seeds after 5 seeds" in printed and "10 of 10 runs are done" in printed
    process = killed.start()
    wait_for(lambda: process.poll() is not None or _num_done(killed) >= 7)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=100)
    assert "10 of 10 runs are done" in killed.run()
    assert killed.weights("waves") == calm.weights("waves"), "bit for bit"
    assert _verdicts(killed) == _verdicts(calm)
    text = (killed.outputs / "waves" / "report.md").read_text()
    assert "post after 5 seeds (undecided" in " ".join(text.split())


def _study_in(folder: Path, overrides: list[str]) -> Sweeps:
    folder.mkdir()
    set_here = {one.partition("=")[0] for one in STUDY}
    kept = [one for one in overrides if one.partition("=")[0] not in set_here]
    return Sweeps(folder, [*kept, *STUDY])


def _num_done(study: Sweeps) -> int:
    return sum(one["status"] == "done" for one in study.runs("waves").values())


def _verdicts(study: Sweeps) -> Any:
    return json.loads((study.outputs / "waves" / "report.json").read_text())["verdicts"]
