"""Train for some minutes, several times, and compare with the time that the runs took.

python benchmarks/training_minutes.py [--minutes 2] [--runs 5] [--keep FILE] [KEY=VALUE ...]

Each run measures its steps anew. Its minutes are those from the start of training to the end of the
run; the whole process, which also starts Python, reads the texts and measures, is beside them. The
exit code is 1 if the median is more than 10 % off, or the learning rate of a run has not decayed to
its minimum.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results_file import ResultsFile

from lmlab.config.compose import compose, load_frozen
from lmlab.run_folder import RunFolder

TOLERANCE = 0.10
SETTINGS = ["scale=cpu", "study=timed"]


@dataclasses.dataclass(frozen=True)
class Timed:
    """A run of some minutes.

    Attributes:
        steps: that were measured to fit, and trained.
        minutes: of the run.
        process_minutes: of its process.
        final_rate: learning rate of the last update, relative to the peak.
        minimum_rate: the same, as the schedule is to end.
    """

    steps: int
    minutes: float
    process_minutes: float
    final_rate: float
    minimum_rate: float

    @property
    def is_decayed(self) -> bool:
        """Whether the last update, whose step counts from 0, is one step from the minimum."""
        one_step = 2.0 / self.steps
        return self.minimum_rate <= self.final_rate <= self.minimum_rate + one_step


def forget(outputs: Path) -> None:
    """Remove runs and measurements; keep the texts."""
    caches = [str(outputs / "cache" / name) for name in ("calibrations", "lengths", "runs")]
    subprocess.run(["rm", "-rf", str(outputs / "timed"), *caches], check=True)


def train(folder: Path, overrides: list[str]) -> float:
    """Run ``lmlab.train`` to its end; return the seconds that it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "lmlab.train", *overrides]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def time_run(folder: Path, overrides: list[str]) -> Timed:
    """Train one run that knows nothing of earlier ones."""
    forget(folder / "outputs")
    process_seconds = train(folder, overrides)
    (path,) = (folder / "outputs" / "timed").glob("*/seed*/preflight.json")
    run = RunFolder(path.parent)
    config = load_frozen(run.config)
    rows = [row for row in run.rows() if row["kind"] == "train"]
    if rows[-1]["step"] != config.training.steps:
        raise RuntimeError(f"{run.path}: the last row is of step {rows[-1]['step']}")
    seconds = json.loads(path.read_text("utf-8"))["actual"]["seconds"]
    return Timed(
        steps=config.training.steps,
        minutes=seconds / 60,
        process_minutes=process_seconds / 60,
        final_rate=rows[-1]["lr"] / config.optim.lr,
        minimum_rate=config.schedule.parameters.get("min_lr_ratio", 0.0),
    )


def compare(results: ResultsFile, folder: Path, options: argparse.Namespace) -> bool:
    """Measure and print; return whether the claims hold."""
    overrides = [*SETTINGS, *options.settings]
    train(folder, [*overrides, "training.steps=20", "study=texts"])
    results.write_line("| run | steps | minutes | off | final rate / peak | whole process, min |")
    results.write_line("| ---: | ---: | ---: | ---: | ---: | ---: |")
    found = []
    for number in range(options.runs):
        minutes = f"training.minutes={options.minutes:g}"
        one = time_run(folder, [*overrides, minutes, f"seed={number}"])
        found.append(one)
        results.write_line(
            f"| {number + 1} | {one.steps:,} | {one.minutes:.3f} | "
            f"{one.minutes / options.minutes - 1:+.1%} | {one.final_rate:.4f} | "
            f"{one.process_minutes:.3f} |"
        )
    median = statistics.median(one.minutes for one in found)
    off = median / options.minutes - 1
    decayed = sum(one.is_decayed for one in found)
    results.write_line()
    results.write_line(
        f"Median of {len(found)} runs of training.minutes={options.minutes:g}: {median:.3f} min, "
        f"{off:+.1%}. Decay complete in {decayed} of {len(found)}."
    )
    return abs(off) <= TOLERANCE and decayed == len(found)


def main() -> int:
    """Measure in a temporary folder; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, default=None, metavar="FILE")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    device = compose([*SETTINGS, *options.settings]).runtime.device
    results = ResultsFile(options.keep)
    results.write_header(["lmlab", "torch"], device)
    with tempfile.TemporaryDirectory() as name:
        return 0 if compare(results, Path(name), options) else 1


if __name__ == "__main__":
    sys.exit(main())
