"""Compare the training step of this checkout with that of an earlier one, in every policy.

    git worktree add ../before REVISION
    python benchmarks/step_of_checkouts.py ../before --keep RESULTS.md

The default model is trained in one process per checkout and policy. The processes of a policy take
turns, and which one begins alternates from round to round, so that noise affects both. A ratio is
the speed here divided by the speed before, in the same round. The interval of the median ratio is
that of order statistics (David and Nagaraja 2003, "Order statistics", section 7.1), at 95 % or
more. The exit code is 1 where an interval does not reach 0.99, or does not stay above 0.97.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results_file import CORES, ResultsFile
from train_step import Worker

from lmlab.config.compose import compose

HERE = Path(__file__).resolve().parents[1]
# Name, policy, and whether the step is compiled.
POLICIES = [
    ("exact", "exact", False), ("fast", "fast", False), ("fast, compiled", "fast", True),
    ("bf16", "bf16", False), ("bf16, compiled", "bf16", True),
]  # fmt: skip
KEYS = ("vocab_size", "context_length", "d_model", "num_layers", "num_heads")
REACHES, STAYS_ABOVE = 0.99, 0.97


def start(checkout: Path, settings: dict[str, Any]) -> Worker:
    """Start the process of a checkout, which runs that checkout's own code and script."""
    os.environ["PYTHONPATH"] = str(checkout / "src")
    script = checkout / "benchmarks" / "train_step_jobs.py"
    return Worker(sys.executable, "lmlab", settings, script)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return two of the values between which their median lies with at least 95 % confidence."""
    ordered, number = sorted(values), len(values)
    below = 0
    while 2 * _at_most(below, number) <= 0.05:
        below += 1
    if below == 0:
        raise SystemExit(f"--rounds={number}: expected 6 or more")
    return ordered[below - 1], ordered[-below]


def _at_most(count: int, number: int) -> float:
    """The probability of at most ``count`` heads in ``number`` throws of a fair coin."""
    return sum(math.comb(number, k) for k in range(count + 1)) / 2**number


def compare(name: str, policy: str, compiled: bool, options: argparse.Namespace) -> str:
    """Time both checkouts in turns; return a row of the table."""
    config = compose([]).as_dict()
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for checkout in (options.before.resolve(), HERE):
            settings = {
                "shape": {key: config["model"][key] for key in KEYS}, "policy": policy,
                "batch": config["training"]["batch_size"], "compile": compiled,
                "threads": options.threads, "device": options.device,
                "outputs": f"{folder}/{len(workers)}", "inductor": f"{folder}/inductor",
            }  # fmt: skip
            workers.append(start(checkout, settings))
            workers[-1].ask("steps 5")  # compile and warm up
        rates: list[list[float]] = [[], []]
        for number in range(options.rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                found = workers[place].ask(f"steps {options.steps}")
                rates[place].append(options.steps / found["seconds"])
        for worker in workers:
            worker.end()
    ratios = [here / before for before, here in zip(*rates, strict=True)]
    low, high = median_interval(ratios)
    word = "as before" if high >= REACHES and low > STAYS_ABOVE else "SLOWER"
    before, here = map(statistics.median, rates)
    return (
        f"| {name} | {before:.2f} | {here:.2f} | {statistics.median(ratios):.3f} | "
        f"{low:.3f} to {high:.3f} | {word} |"
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path, help="folder of the earlier checkout")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=10, help="updates per round")
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="policies by name, separated by ;")
    parser.add_argument("--keep", type=Path, help="file to save the results to")
    options = parser.parse_args()
    results = ResultsFile(options.keep)
    results.write_header(("torch",), options.device)
    results.write_line("| policy | steps/s before | here | median ratio | 95% interval | |")
    results.write_line("|---|---:|---:|---:|---|---|")
    is_slower = False
    for name, policy, compiled in POLICIES:
        if not options.only or name in options.only.split(";"):
            row = compare(name, policy, compiled, options)
            is_slower |= "SLOWER" in row
            results.write_line(row)
    sys.exit(int(is_slower))


if __name__ == "__main__":
    main()
