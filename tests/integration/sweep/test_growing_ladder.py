"""Ladders that change: more rungs, arms and seeds, fewer arms, and two launches at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sweep_fixtures import Sweeps

from lmlab.study.ladders.seals import SEALS_FILE, SealFile, read_seals

STEPS = (10, 16, 26, 42, 68)
ARMS = {"baseline": [], "nope": ["model.pos=nope"], "post": ["model.norm=post"]}


class Ladders:
    """Launches ladders of growing steps in one study."""

    def __init__(self, sweeps: Sweeps) -> None:
        self.sweeps = sweeps
        typed = [one for one in sweeps.overrides if not one.startswith("training.steps=")]
        self.sweeps.overrides = [
            *typed, "experiment=ladder", "ladder=given", "study=ladder", "schedule.warmup=null",
            "~design.arms", "design.lr=fixed", "design.replicate=null", "optim.lr=0.02",
            "model.context_length=8", "model.num_layers=1", "runtime.preflight=off",
            "hydra.launcher.jobs_per_device=2", "hydra.launcher.report=false",
        ]  # fmt: skip

    @staticmethod
    def arguments(rungs: int = 4, arms: int = 2, num_seeds: object = 2) -> list[str]:
        declared = ", ".join(f"{arm}: {own}" for arm, own in list(ARMS.items())[:arms])
        return [
            f"ladder.rungs={[[f'training.steps={steps}'] for steps in STEPS[:rungs]]}",
            f"+design.arms={{{declared}}}",
            f"design.num_seeds={num_seeds}",
        ]

    def run(self, *further: str, **changes: object) -> str:
        return self.sweeps.run(*self.arguments(**changes), *further)  # type: ignore[arg-type]

    @property
    def sessions(self) -> dict[str, int]:
        return self.sweeps.sessions("ladder")

    @property
    def file(self) -> Path:
        return self.sweeps.outputs / "ladder" / SEALS_FILE

    @property
    def seals(self) -> SealFile:
        return read_seals(self.file)


@pytest.fixture
def ladders(sweeps: Sweeps) -> Ladders:
    return Ladders(sweeps)


@pytest.mark.long
def test_a_further_rung_arm_or_seed_trains_only_what_is_new(ladders: Ladders) -> None:
    ladders.run()
    runs = set(ladders.sessions)
    assert len(runs) == 4 * 2 * 2
    for changes, new in (
        ({"rungs": 5}, {"r5-baseline", "r5-nope"}),
        ({"rungs": 5, "arms": 3}, {f"r{rung}-post" for rung in range(1, 6)}),
        ({"rungs": 5, "arms": 3, "num_seeds": [3, 2, 2, 2, 2]},
         {"r1-baseline", "r1-nope", "r1-post"}),
        ({"rungs": 5, "num_seeds": [3, 2, 2, 2, 2]}, set()),
        ({}, set()),
    ):  # fmt: skip
        kept, num_seals = ladders.file.read_bytes(), len(ladders.seals.seals)
        plan = ladders.run("hydra.launcher.plan_only=true", **changes)
        assert ladders.file.read_bytes() == kept, "a plan seals nothing"
        printed = ladders.run(**changes)
        added = set(ladders.sessions) - runs
        assert {name.partition("+")[0] for name in added} == new, changes
        highest = f"r{changes.get('rungs', 4)}-"
        planned = [name for name in added if not name.startswith(highest)] or added
        assert f"{len(planned)} to train" in plan or not added
        assert "runs are done" in printed
        runs |= added
        assert set(ladders.sessions.values()) == {1}, "nothing is trained again"
        assert ladders.file.read_bytes().startswith(kept), "seals are kept"
        is_known = not changes  # the first ladder again
        assert len(ladders.seals.seals) == num_seals + (not is_known)
    assert [seal.rung for seal in ladders.seals.seals] == [4, 5, 5, 5, 5]
    assert not ladders.seals.problems
    last = ladders.seals.seals[1]
    starts = [
        json.loads(path.read_text())["sessions"][0]["time"]
        for path in (ladders.sweeps.outputs / "ladder").glob("r5-nope+*/seed*/meta.json")
    ]
    assert len(starts) == 2 and min(starts) >= last.time


@pytest.mark.long
def test_two_launches_at_once_write_one_seal(ladders: Ladders) -> None:
    both = [ladders.sweeps.start(*ladders.arguments()) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert all("16 of 16 runs are done" in text for text in printed)
    assert set(ladders.sessions.values()) == {1}
    assert len(ladders.seals.seals) == 1 and not ladders.seals.problems


@pytest.mark.long
def test_a_study_that_was_moved_keeps_its_seal_and_trains_nothing(ladders: Ladders) -> None:
    ladders.run()
    moved = ladders.sweeps.outputs.rename(ladders.sweeps.folder / "moved")
    kept = (moved / "ladder" / SEALS_FILE).read_bytes()
    printed = ladders.run(f"output_root={moved}", "hydra.launcher.report=true")
    assert "16 of 16 runs are done" in printed
    sessions = [json.loads(path.read_text())["sessions"]
                for path in moved.glob("ladder/*/seed*/meta.json")]  # fmt: skip
    assert {len(one) for one in sessions} == {1}
    assert (moved / "ladder" / SEALS_FILE).read_bytes() == kept
    report = " ".join((moved / "ladder" / "report.md").read_text().split())
    assert "Forecasts of r4, sealed before it started" in report
