"""Measure the overhead of a sweep's jobs: 12 jobs without steps against 12 imports of torch.

    python benchmarks/launcher.py [--rounds 5] [--at-a-time 2]

Both are complete programs, measured in alternation. The sweep is
`python -m lmlab.train -m seed=0,...,11`, in a new study each round, on a text that is already
encoded. The reference is 12 processes of `python -c "import torch"`, as many at a time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOBS = 12
SMALL = [
    "model.vocab_size=257", "model.context_length=16", "model.d_model=16", "model.num_layers=1",
    "model.num_heads=2", "training.batch_size=4", "validation.max_tokens=256", "tokenizer=bytes",
    "samples.count=0", "logger=none", "runtime.device=cpu", "runtime.threads=1",
    "hydra.launcher.report=false",
]  # fmt: skip


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-a-time", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_texts(root)
        sweep(root, "warm-up", arguments.at_a_time)
        took: dict[str, list[float]] = {"sweep": [], "imports": []}
        for number in range(arguments.rounds):
            took["imports"].append(timed(lambda: imports(arguments.at_a_time)))
            name = f"round{number}"
            took["sweep"].append(timed(lambda name=name: sweep(root, name, arguments.at_a_time)))
    for kind, seconds in took.items():
        print(
            f"{kind:8} median {statistics.median(seconds):6.2f} s   "
            f"least {min(seconds):6.2f} s   most {max(seconds):6.2f} s"
        )
    ratio = statistics.median(took["sweep"]) / statistics.median(took["imports"])
    print(f"{JOBS} jobs, {arguments.at_a_time} at a time: ratio {ratio:.2f}")


def write_texts(root: Path) -> None:
    """Write a training and a validation text of a few kilobytes."""
    for name in ("train", "valid"):
        lines = (f"{name} story {number}.\n<|endoftext|>\n" for number in range(300))
        (root / f"{name}.txt").write_text("".join(lines), "utf-8")


def sweep(root: Path, study: str, at_a_time: int) -> None:
    """Run twelve jobs without training steps, in a new study."""
    seeds = ",".join(map(str, range(JOBS)))
    overrides = [
        "-m", f"seed={seeds}", "training.steps=0", f"study={study}", "reuse=false", "data=text",
        "data.train=train.txt", "data.valid=valid.txt", *SMALL,
        f"hydra.launcher.jobs_per_device={at_a_time}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "lmlab.train", *overrides], cwd=root, capture_output=True, text=True
    )
    if done.returncode or f"{JOBS} of {JOBS} runs are done" not in done.stdout:
        raise SystemExit(f"the sweep failed:\n{done.stdout}\n{done.stderr}")


def imports(at_a_time: int) -> None:
    """Run twelve processes that only import torch."""
    command = [sys.executable, "-c", "import torch"]
    with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        list(pool.map(lambda _: subprocess.run(command, check=True), range(JOBS)))


def timed(work: object) -> float:
    """Return the seconds that ``work`` takes."""
    assert callable(work)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
