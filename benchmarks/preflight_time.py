"""Compare predicted and actual time of a run of 300 steps and of a sweep of six, on this CPU.

python benchmarks/preflight_time.py [ROUNDS] [FOLDER]

Each round starts with prepared texts and without calibrations.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUN = ["scale=cpu", "training.steps=300", "study=one"]
SWEEP = ["-m", "scale=smoke", "study=six", "optim.lr=1e-3,2e-3,4e-3,6e-3,8e-3,1e-2"]


def forget(outputs: Path) -> None:
    """Remove runs and calibrations; keep the texts."""
    command = ["rm", "-rf", *(str(outputs / name) for name in ("one", "six"))]
    caches = [str(outputs / "cache" / name) for name in ("calibrations", "runs")]
    subprocess.run([*command, *caches], check=True)


def train(folder: Path, overrides: list[str]) -> None:
    """Run ``lmlab.train`` to its end."""
    command = [sys.executable, "-m", "lmlab.train", *overrides]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def one_run(outputs: Path) -> tuple[float, float]:
    """Predicted and actual seconds of the run."""
    (path,) = outputs.glob("one/*/seed0/preflight.json")
    found = json.loads(path.read_text())
    return found["predicted"]["seconds"], found["actual"]["seconds"]


def full_sweep(outputs: Path) -> tuple[float, float]:
    """Predicted and actual seconds of the sweep."""
    (path,) = outputs.glob("six/sweeps/*/preflight.json")
    found = json.loads(path.read_text())
    return found["predicted_seconds"], found["actual_seconds"]


def compare(folder: Path, rounds: int) -> None:
    """Measure and print; the texts are in ``folder``."""
    train(folder, [*RUN, "training.steps=60", "arm=texts"])
    train(folder, ["scale=smoke", "arm=texts", "study=six"])
    for title, overrides, read in (
        ("run of 300 steps", RUN, one_run), ("sweep of six", SWEEP, full_sweep),
    ):  # fmt: skip
        ratios = []
        for _ in range(rounds):
            forget(folder / "outputs")
            train(folder, overrides)
            predicted, actual = read(folder / "outputs")
            ratios.append(actual / predicted)
            print(f"{title}: predicted {predicted:7.2f} s, actual {actual:7.2f} s, "
                  f"ratio {ratios[-1]:.3f}", flush=True)  # fmt: skip
        print(f"{title}: median ratio {statistics.median(ratios):.3f} of {rounds}", flush=True)


def main() -> None:
    """Measure in the given folder, or in a temporary one."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    if len(sys.argv) > 2:
        compare(Path(sys.argv[2]), rounds)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), rounds)


if __name__ == "__main__":
    main()
