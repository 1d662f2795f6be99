"""Compare the training step with Hugging Face's Llama, LitGPT and a plain compiled step.

    python -m venv PEERS && PEERS/bin/pip install torch litgpt
    python benchmarks/train_step.py --litgpt-python PEERS/bin/python --keep RESULTS.md

LitGPT needs other versions of its dependencies than transformers, hence a separate environment;
without it, LitGPT is skipped. Shape, batch, optimizer, clipping and precision are the same for all.
Each library runs in a process of its own, and the processes take turns in every round, so that
noise affects all of them. The loss is that of the last step on the same batches. Each library draws
its weights by its own rule, so losses are close and not equal.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from results_file import CORES, ResultsFile

from lmlab.config.compose import compose

JOBS = Path(__file__).with_name("train_step_jobs.py")
# Name, library, precision, policy of lmlab, and whether the step is compiled.
CANDIDATES = [
    ("lmlab fast", "lmlab", "fp32", "fast", True),
    ("lmlab exact, eager", "lmlab", "fp32", "exact", False),
    ("Llama, eager fp32", "transformers", "fp32", "", False),
    ("Llama, compiled fp32", "transformers", "fp32", "", True),
    ("LitGPT, compiled fp32", "litgpt", "fp32", "", True),
    ("plain, compiled fp32", "plain", "fp32", "", True),
    ("lmlab bf16", "lmlab", "bf16", "bf16", True),
    ("Llama, compiled bf16", "transformers", "bf16", "", True),
    ("LitGPT, compiled bf16", "litgpt", "bf16", "", True),
    ("plain, compiled bf16", "plain", "bf16", "", True),
]


class Worker:
    """The process of a library."""

    def __init__(
        self, python: str, library: str, settings: dict[str, Any], script: Path = JOBS
    ) -> None:
        environment = dict(os.environ)
        environment["TORCHINDUCTOR_CACHE_DIR"] = settings["inductor"]
        self._process = subprocess.Popen(
            [python, str(script), library, json.dumps(settings)], text=True, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.missing = self._answer().get("missing")

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """End the process."""
        self._process.communicate("end\n" if self._process.poll() is None else None)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a library failed:\n{self._process.stderr.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def peak_flops(precision: str, device: str) -> float:
    """FLOP/s of the fastest of a few large matrix products on this machine."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 2048 if device == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    best = 0.0
    for products in ("highest", "medium") if device == "cpu" else ("highest", "high"):
        torch.set_float32_matmul_precision(products)
        for _ in range(4):
            started = time.perf_counter()
            left @ right
            if device != "cpu":
                torch.cuda.synchronize()
            best = max(best, 2 * size**3 / (time.perf_counter() - started))
    torch.set_float32_matmul_precision("highest")
    return best


def compare(results: ResultsFile, precision: str, options: argparse.Namespace, batch: int) -> None:
    """Time the libraries of one precision in turns; print medians and ratios."""
    config = compose(["model=small_17m"]).as_dict()["model"]
    keys = ("vocab_size", "context_length", "d_model", "num_layers", "num_heads", "d_ff")
    shape = {key: config[key] for key in keys}
    flops = (
        6
        * sum(
            (4 * shape["d_model"] ** 2 + 3 * shape["d_model"] * shape["d_ff"],)
            * shape["num_layers"]
        )
        + 6 * shape["d_model"] * shape["vocab_size"]
    )
    flops += 12 * shape["context_length"] * shape["d_model"] * shape["num_layers"]
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as outputs:
        for name, library, kind, policy, compiled in CANDIDATES:
            if kind != precision or (options.only and library not in options.only.split(",")):
                continue
            settings = {
                "shape": shape, "batch": batch, "precision": kind, "policy": policy,
                "compile": compiled, "threads": options.threads, "device": options.device,
                "outputs": outputs, "inductor": str(options.cache.resolve()),
            }  # fmt: skip
            python = options.litgpt_python if library == "litgpt" else sys.executable
            worker = Worker(python, library, settings)
            if worker.missing:
                results.write_line(f"{name} is skipped: {worker.missing}")
                worker.end()
                continue
            worker.ask("steps 2")  # compile and warm up
            workers[name] = worker
        peaks: list[float] = []
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        losses: dict[str, float] = {}
        for _ in range(options.rounds):
            peaks.append(peak_flops(precision, options.device))
            for name, worker in workers.items():
                found = worker.ask(f"steps {options.steps}")
                seconds[name].append(found["seconds"] / options.steps)
                losses[name] = found["loss"]
        memory = {name: worker.ask("peak")["peak_mb"] for name, worker in workers.items()}
        for worker in workers.values():
            worker.end()
    _print(results, precision, options, batch, flops, max(peaks), seconds, losses, memory)


def _print(
    results: ResultsFile, precision: str, options: argparse.Namespace, batch: int, flops: float,
    peak: float, seconds: dict[str, list[float]], losses: dict[str, float],
    memory: dict[str, float],
) -> None:  # fmt: skip
    tokens = batch * 256
    taken = options.rounds * options.steps + 2
    results.write_line(f"\n## {precision}, {batch} sequences of 256, {options.threads} threads; "
                f"products here {peak / 1e9:,.0f} GFLOP/s")  # fmt: skip
    results.write_line(f"{'':24} {'tokens/s':>9} {'spread':>7} {'MFU':>6} {'peak MB':>8} "
                f"{f'loss at {taken}':>12}")  # fmt: skip
    rates: dict[str, float] = {}
    for name, found in seconds.items():
        rates[name] = tokens / statistics.median(found)
        spread = (max(found) - min(found)) / statistics.median(found)
        mfu = rates[name] * flops / peak
        results.write_line(f"{name:24} {rates[name]:9,.0f} {spread:7.0%} {mfu:6.0%} "
                    f"{memory[name]:8,.0f} {losses[name]:12.4f}")  # fmt: skip
    peers = {name: rate for name, rate in rates.items() if not name.startswith("lmlab")}
    first = next((name for name in rates if name.startswith("lmlab")), None)
    if peers and first:
        best = max(peers, key=lambda name: peers[name])
        least = min(memory[name] for name in peers)
        pairs = zip(seconds[best], seconds[first], strict=True)
        ratio = statistics.median(theirs / ours for theirs, ours in pairs)
        results.write_line(
            f"{first} is {ratio:.2f} times {best}, the best peer (median of the rounds' ratios); "
            f"its peak memory is {memory[first] / least:.2f} times the smallest of the peers"
        )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--litgpt-python", default=sys.executable, help="python with litgpt")
    parser.add_argument("--batches", default="8,32", help="sequences per update")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--only", default="", help="libraries: lmlab,transformers,litgpt,plain")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2, help="updates per round")
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=Path("outputs/cache/inductor-benchmark"))
    parser.add_argument("--keep", type=Path, help="file to save the results to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = ResultsFile(options.keep)
    results.write_header(("lmlab", "torch", "transformers"), options.device)
    results.write_line(f"litgpt {_version_in(options.litgpt_python)}, in a separate environment")
    for batch in map(int, options.batches.split(",")):
        for precision in options.precisions.split(","):
            compare(results, precision, options, batch)


def _version_in(python: str) -> str:
    code = "from importlib import metadata; print(metadata.version('litgpt'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "not installed"


if __name__ == "__main__":
    main()
