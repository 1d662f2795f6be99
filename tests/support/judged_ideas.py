"""Ledgers whose runs are simulated: the runs of a wave are written, everything else is real."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.judge.ledger import Ledger
from lmlab.judge.start import start
from lmlab.judge.stream import Stream, Trial, read_stream
from lmlab.judge.trial import begin, prepare, try_idea
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder

SD = 0.01  # of a simulated run, in nats per token
Effect = Callable[[Mapping[str, Any]], float]


def of_decay(content: Mapping[str, Any]) -> float:
    """The effect of an idea that the tests set by ``optim.weight_decay``."""
    return -float(content["optim"]["weight_decay"])


class SimulatedLauncher:
    """Writes the runs of a manifest with simulated losses.

    Args:
        effect: of a configuration on its final loss; NaN for a run that diverges.
        code: what :meth:`run_sweep` returns.
        most: of new runs per call; the others stay missing, as after a kill.
    """

    def __init__(self, effect: Effect = of_decay, code: int = 0, most: int = 10**6) -> None:
        self.effect, self.code, self.most = effect, code, most
        self.trained: list[str] = []

    def run_sweep(self, manifest: Manifest) -> int:
        root = Path(manifest.arms[0]["output_root"])
        folder = SweepFolder.of(manifest, root)
        folder.write_manifest(manifest)
        outcomes: dict[Job, TrialOutcome] = {}
        new = 0
        while True:
            required = manifest.required_jobs(outcomes)
            waiting = [job for job in required if job not in outcomes]
            if not waiting:
                return self.code
            for job in waiting:
                content = manifest.job_config(job)
                run = RunFolder(root / manifest.study / content["arm"] / f"seed{job.seed}")
                if not run.status():
                    if new == self.most:
                        return self.code
                    new += 1
                    self._train(run, content, job)
                folder.add_entry(job, required[job], run)
                losses = [row["loss"] for row in run.evaluations()]
                outcomes[job] = outcome_from_losses(run.status()["status"], losses)

    def _train(self, run: RunFolder, content: Mapping[str, Any], job: Job) -> None:
        self.trained.append(job.name)
        run.path.mkdir(parents=True)
        (run.path / "config.yaml").write_text("{}\n")
        chance = np.random.default_rng([job.seed, *job.name.encode()])
        effect = self.effect(content)
        loss = 2 + effect + SD * float(chance.normal())
        if content["optim"].get("lr") is not None:
            loss += 0.1 * np.log(content["optim"]["lr"] / 3e-3) ** 2
        state = "done" if loss == loss else "diverged"
        for step, value in ((0, 5.0), (8, float(loss))):
            scores = {"loss": value, "bits_per_byte": value / 3, "perplexity": 1.0,
                      "num_tokens": 9, "tokens": step, "seconds": 1.0 + step}  # fmt: skip
            if value == value:
                run.append_row({"kind": "validation", "step": step, **scores})
        run.write_status(state, step=8, steps=8, tokens=8, seconds=2.0)


def micro(tmp_path: Path, texts: tuple[Path, Path], *more: str) -> list[str]:
    """A configuration that is composed and prepared fast."""
    return [
        f"output_root={tmp_path / 'outputs'}", "scale=smoke", "data=text", f"data.train={texts[0]}",
        f"data.valid={texts[1]}", "model.vocab_size=280", "model.context_length=16",
        "training.steps=8", "schedule.warmup_steps=2", "optim.weight_decay=0.0", *more,
    ]  # fmt: skip


def started(
    tmp_path: Path, texts: tuple[Path, Path], name: str = "ideas", **terms: Any
) -> tuple[Ledger, Stream]:
    """A ledger on a micro model; ideas change ``optim.weight_decay``, which is their gain."""
    given = {"lr": "fixed", "margin": 0.02, "moves": True} | terms
    return start(None, name, micro(tmp_path, texts), given)


def add(
    ledger: Ledger, name: str, *overrides: str, launcher: Any = None, wave: int = 1
) -> tuple[int, Trial]:
    """Try an idea; the trial of an idea that is answered already as it is."""
    stream = read_stream(ledger.rows())
    trial, arms = prepare(stream, name, overrides)
    if arms is None:
        return 0, trial
    with ledger.lock():
        begin(ledger, stream, trial)
        return try_idea(ledger, trial, arms, launcher or SimulatedLauncher(), wave)


def kinds(ledger: Ledger) -> Sequence[str]:
    """What the rows of a ledger record, in order."""
    return [row["kind"] for row in ledger.rows()]
