"""Measure the overhead of a run: time outside its steps, and time to the first step.

python benchmarks/overheads.py --keep benchmarks/results/overheads-DATE.md
python benchmarks/overheads.py --model small_17m --steps 100 training.batch_size=8

Shares: one run in a separate process on a terminal, with timers around the parts of its loop. The
time of a part excludes that of the parts it calls. The CPU time of the thread that writes
checkpoints is reported separately.

Start: time from ``python -m lmlab.train`` to the row of the first update in ``metrics.jsonl``; the
run is then killed. Each round also times ``import torch`` for comparison.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results_file import ResultsFile

PARTS = ["step", "evaluation", "data", "checkpoints", "logging", "progress", "rest"]
IMPORT = "import torch"


class Clock:
    """Splits the time of one thread among parts; a nested part pauses the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.background = 0.0
        self._parts: list[str] = []
        self._since = 0.0

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def around(self, owner: Any, name: str, part: str, always: bool = False) -> None:
        """Add the time of calls of ``owner.name`` to ``part``, within the loop or everywhere."""
        real = getattr(owner, name)

        @functools.wraps(real)
        def timed(*arguments: Any, **named: Any) -> Any:
            if not (self._parts or always):
                return real(*arguments, **named)
            self._turn()
            self._parts.append(part)
            try:
                return real(*arguments, **named)
            finally:
                self._turn()
                self._parts.pop()

        setattr(owner, name, timed)

    def in_background(self, task: Callable[[], None]) -> Callable[[], None]:
        """Return ``task`` with its CPU time added to ``background``."""

        def counted() -> None:
            before = time.thread_time()
            task()
            self.background += time.thread_time() - before

        return counted


def run_timed(overrides: list[str], result: Path) -> None:
    """Train in this process with timers; write the seconds of each part to ``result``."""
    from lmlab import run
    from lmlab.config.compose import compose
    from lmlab.run_folder import RunFolder
    from lmlab.runs import status_writer
    from lmlab.runtime.background import ThreadWorker
    from lmlab.training import trainer
    from lmlab.training.checkpoint import Checkpoints
    from lmlab.training.evaluator import Evaluator
    from lmlab.training.gradient_accumulation import GradientAccumulator

    clock = Clock()
    clock.around(trainer.Trainer, "train", "rest", always=True)
    clock.around(trainer.Trainer, "_fetch", "data")
    clock.around(GradientAccumulator, "__call__", "step")
    clock.around(trainer, "clip_gradients", "step")
    clock.around(trainer.Trainer, "_update", "step")
    clock.around(Evaluator, "evaluate", "evaluation")
    for name in ("save", "save_best", "raise_errors", "wait", "drain"):
        clock.around(Checkpoints, name, "checkpoints")
    clock.around(trainer.Trainer, "_record_row", "logging")
    clock.around(trainer.Trainer, "_validate", "logging")
    clock.around(RunFolder, "append_row", "logging")
    clock.around(status_writer.StatusWriter, "write", "logging")
    start = ThreadWorker.submit
    ThreadWorker.submit = lambda self, task: start(self, clock.in_background(task))  # type: ignore[method-assign]
    bars = trainer.progress_bar

    def progress(*arguments: Any, **named: Any) -> Any:
        bar = bars(*arguments, **named)
        assert not bar.disable, "run this benchmark on a terminal"
        clock.around(bar, "update", "progress")
        clock.around(bar, "set_postfix_str", "progress")
        return bar

    trainer.progress_bar = progress  # type: ignore[assignment]
    run.log_to_stderr()
    outcome = run.execute(compose(overrides))
    assert outcome.run.status()["status"] == "done"
    result.write_text(json.dumps({"parts": clock.seconds, "background": clock.background}))


def shares(overrides: list[str], folder: Path) -> dict[str, Any]:
    """Seconds of each part of a run, trained in a separate process on a terminal."""
    result = folder / "parts.json"
    terminal, other = pty.openpty()
    drain = threading.Thread(target=_drain, args=(terminal,), daemon=True)
    drain.start()
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", str(result), *overrides]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=other, check=True)
    os.close(other)
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _drain(terminal: int) -> None:
    while True:
        try:
            if not os.read(terminal, 65536):
                return
        except OSError:  # the other side is closed
            return


def seconds_to_first_update(overrides: list[str], folder: Path) -> float:
    """From the start of the process to the row of its first update."""
    study = f"start{time.time_ns()}"
    command = [sys.executable, "-m", "lmlab.train", *overrides, f"study={study}", "reuse=false"]
    command += ["training.log_every=1", "arm=one"]
    rows = folder / "outputs" / study / "one" / "seed0" / "metrics.jsonl"
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        try:
            while not (rows.exists() and b'"train"' in rows.read_bytes()):
                if child.poll() is not None:
                    output.seek(0)
                    raise SystemExit(f"the run ended too early:\n{output.read().decode()}")
                time.sleep(0.002)
            return time.perf_counter() - started
        finally:
            child.kill()
            child.wait()


def seconds_to_import() -> float:
    """Seconds of a process that only imports torch."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
    return time.perf_counter() - started


def starts(overrides: list[str], folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind of start, in turns."""
    calibrations = folder / "outputs" / "cache" / "calibrations"
    one_window = [*overrides, "validation.max_tokens=1"]
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        shutil.rmtree(calibrations, ignore_errors=True)
        ways = {
            "first update, shape not yet calibrated": [*one_window, "logger=none"],
            "first update": [*one_window, "logger=none"],
            "first update, wandb": [*one_window, "logger=wandb"],
            "first update, after a full evaluation": [*overrides, "logger=none"],
        }
        row = {IMPORT: seconds_to_import()}
        row |= {name: seconds_to_first_update(way, folder) for name, way in ways.items()}
        if number:  # the first round fills the caches
            for name, seconds in row.items():
                found[name].append(seconds)
    return found


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with right-aligned numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share_table(found: dict[str, Any]) -> str:
    """The parts of a run as a table and a line."""
    parts = found["parts"]
    total = sum(parts.values())
    rows = [
        [part, f"{parts.get(part, 0.0):.3f}", f"{parts.get(part, 0.0) / total:.2%}"]
        for part in PARTS
    ]
    overhead = total - parts["step"] - parts["evaluation"]
    rows.append(["all except step and evaluation", f"{overhead:.3f}", f"{overhead / total:.2%}"])
    background = found["background"]
    rows.append(["CPU time of saving", f"{background:.3f}", f"{background / total:.2%}"])
    return table(["part of the loop", "seconds", "share"], rows)


def start_table(found: dict[str, list[float]]) -> str:
    """The kinds of start as a table."""
    base = statistics.median(found[IMPORT])
    rows = [
        [
            name,
            f"{statistics.median(seconds):.2f}",
            f"{min(seconds):.2f} to {max(seconds):.2f}",
            f"{statistics.median(seconds) - base:+.2f}",
        ]
        for name, seconds in found.items()
    ]
    return table(["process start to", "median s", "range s", f"beyond {IMPORT}, s"], rows)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the start benchmark")
    parser.add_argument("--tasks", default="shares,start")
    parser.add_argument("--keep", type=Path, help="file to save the results to")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="more overrides of the run")
    options = parser.parse_args()
    if options.inside:
        run_timed(options.overrides, options.inside)
        return
    overrides = [f"model={options.model}", f"training.steps={options.steps}", *options.overrides]

    results = ResultsFile(options.keep)
    results.write_header(("lmlab", "torch", "safetensors", "wandb"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "shares" in options.tasks:
            more = ["logger=wandb", "samples.prompts=[]"]
            found = shares([*overrides, *more], folder)
            results.write_line(f"A run of {options.steps:,} steps:\n\n{share_table(found)}\n")
        if "start" in options.tasks:
            times = starts(overrides, folder, options.rounds)
            results.write_line(f"Starts, {options.rounds} rounds:\n\n{start_table(times)}")


if __name__ == "__main__":
    main()
