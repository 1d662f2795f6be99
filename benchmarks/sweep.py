"""Compare ways to sweep eight learning rates: one after another, packed on the cores, stacked.

    python benchmarks/sweep.py [--steps 500] [--rounds 5] [--keep FILE]
    python benchmarks/sweep.py --device cuda --d-model 128 --context 128 --batch 8 \\
        --ways "sequential no graph,sequential,sequential compiled,stacked,stacked compiled"

Each measurement is a complete `python -m lmlab.train -m optim.lr=...` in a new study, from its
start to the end of its last run; the ways alternate. `whole` divides all tokens by that time, which
includes start-up and compilation; `steady` is the speed that the runs report for their steps,
without the first ones. A short sweep fills the cache of compiled kernels before. The results are
compared at the end: weights bit for bit at equal threads, under the default policy and under
`exact`, and the losses of a stack (which `exact` does not support) at step 100 with those of single
runs.
`--measured FILE` appends single measurements and reuses those of earlier calls, so the rounds need
not run consecutively.
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

from results_file import CORES, ResultsFile

RATES = ["1e-4", "2e-4", "5e-4", "1e-3", "2e-3", "3e-3", "5e-3", "1e-2"]
ALONE = ["hydra.launcher.stack=off"]
ONE = [*ALONE, "hydra.launcher.jobs_per_device=1"]
STACK = [f"hydra.launcher.stack={len(RATES)}", "hydra.launcher.jobs_per_device=1"]
EAGER, COMPILED = ["runtime.compile=false"], ["runtime.compile=true"]
ONE_THREAD = ["runtime.threads=1"]
NO_GRAPH = ["runtime.cuda_graph=false"]
WAYS = {  # all but the packed ones use one thread per core
    "sequential no graph": [*ONE, *EAGER, *NO_GRAPH],
    "sequential": [*ONE, *EAGER],
    "sequential compiled": [*ONE, *COMPILED],
    "packed": [*ALONE, *ONE_THREAD, *EAGER],
    "packed compiled": [*ALONE, *ONE_THREAD, *COMPILED],
    "stacked": [*STACK, *EAGER],
    "stacked compiled": [*STACK, *COMPILED],
}
ON_CPU = [way for way in WAYS if "graph" not in way]
REFERENCE = "sequential compiled"
TAG = str(time.time_ns())  # makes each study new in a reused folder


def settings(options: argparse.Namespace) -> list[str]:
    """Return the overrides that all ways share."""
    return [
        "data=toystories", "model.vocab_size=1024", "model.num_layers=4", "model.num_heads=4",
        f"model.context_length={options.context}", f"model.d_model={options.d_model}",
        f"training.batch_size={options.batch}", f"runtime.device={options.device}",
        "validation.max_tokens=4096", "validation.every_steps=100000",
        "checkpoint.every_steps=100000", "schedule.warmup_steps=10", "training.log_every=50",
        "samples.count=0", "logger=none", "reuse=false", "runtime.preflight=off",
        "hydra.launcher.report=false", f"runtime.threads={options.threads}",
    ]  # fmt: skip


def sweep(root: Path, study: str, overrides: list[str]) -> float:
    """Run a sweep; return the seconds of the complete program."""
    command = [sys.executable, "-m", "lmlab.train", "-m", f"optim.lr={','.join(RATES)}"]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(root / "inductor")}
    started = time.perf_counter()
    done = subprocess.run(
        [*command, f"study={study}", *overrides],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode or f"{len(RATES)} of {len(RATES)} runs are done" not in done.stdout:
        raise SystemExit(f"{study} failed:\n{done.stdout}\n{done.stderr}")
    return seconds


def folders(root: Path, study: str) -> list[Path]:
    """Return the run folders of a study, by rate."""
    return sorted((root / "outputs" / study).glob("*/seed0"))


def rows(run: Path) -> list[dict[str, Any]]:
    """Return the training rows of a run."""
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == "train"]


def steady(root: Path, study: str, way: str) -> float:
    """Return tokens per second of all concurrent runs, without the first rows."""
    at_once = len(RATES) if way.startswith("stacked") else 1
    if way.startswith("packed"):
        at_once = min(CORES, len(RATES))
    speeds = [
        statistics.median(row["tokens_per_second"] for row in rows(run)[2:])
        for run in folders(root, study)
    ]
    return at_once * statistics.fmean(speeds)


def measure(root: Path, options: argparse.Namespace, ways: list[str]) -> list[dict[str, Any]]:
    """Measure all ways in alternation."""
    common = [*settings(options), f"training.steps={options.steps}"]
    for way in ways:  # prepares data, tokenizer and compiled kernels
        name = way.replace(" ", "-")
        ready = root / f"warm-{name}-{options.d_model}-{options.context}-{options.batch}"
        if not ready.exists() and (way == ways[0] or "compiled" in way):
            overrides = [*settings(options), "training.steps=12", *WAYS[way]]
            seconds = sweep(root, f"warm-{name}-{TAG}", overrides)
            print(f"{way}: ready in {seconds:.1f} s", file=sys.stderr, flush=True)
            ready.touch()
    found = []
    for number in range(options.rounds):
        for way in ways:
            study = f"{way.replace(' ', '-')}-{TAG}-{number}"
            seconds = sweep(root, study, [*common, *WAYS[way]])
            found.append({"way": way, "seconds": seconds, "steady": steady(root, study, way)})
            print(f"{way}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return found


def table(options: argparse.Namespace, found: list[dict[str, Any]]) -> list[str]:
    """Return a table of medians, with ratios to the sequential compiled sweep."""
    tokens = len(RATES) * options.steps * options.batch * options.context
    by_way: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        by_way.setdefault(one["way"], []).append(one)
    middle = {
        way: {
            key: statistics.median(one[key] for one in measurements)
            for key in ("seconds", "steady")
        }
        for way, measurements in by_way.items()
    }
    reference = middle.get(REFERENCE)
    columns = ["way", "rounds", "whole, s", "from, to", "whole, tokens/s", "ratio"]
    columns += ["steady, tokens/s", "ratio"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for way, measurements in by_way.items():
        seconds, speed = middle[way]["seconds"], middle[way]["steady"]
        times = [one["seconds"] for one in measurements]
        spread = f"{min(times):.1f}, {max(times):.1f}"
        ratios = ("", "")
        if reference is not None:
            ratios = (f"{reference['seconds'] / seconds:.2f}", f"{speed / reference['steady']:.2f}")
        lines.append(
            f"| {way} | {len(measurements)} | {seconds:.1f} | {spread} | {tokens / seconds:,.0f} | "
            f"{ratios[0]} | {speed:,.0f} | {ratios[1]} |"
        )
    return lines


def stacked_ratios(found: list[dict[str, Any]]) -> list[str]:
    """Return the speed-up of the steps of the faster stack over each other way."""
    steady: dict[str, float] = {}
    for way in dict.fromkeys(one["way"] for one in found):
        steady[way] = statistics.median(one["steady"] for one in found if one["way"] == way)
    stacks = {way: speed for way, speed in steady.items() if way.startswith("stacked")}
    if not stacks:
        return []
    best = max(stacks, key=lambda way: stacks[way])
    ratios = [
        f"{stacks[best] / speed:.2f} times {way}"
        for way, speed in steady.items() if way not in stacks
    ]  # fmt: skip
    return [f"steps of {best}: {', '.join(ratios)}"] if ratios else []


def compare(root: Path, options: argparse.Namespace) -> list[str]:
    """Compare results after 100 steps on one thread: packed and stacked with sequential runs."""
    common = [*settings(options), "training.steps=100", "training.log_every=1", *EAGER, *ONE_THREAD]
    lines = []
    for policy in ("exact", "auto"):
        for name, overrides in ("alone", ONE), ("packed", ALONE):
            sweep(root, f"{name}-{policy}-{TAG}", [*common, f"runtime.policy={policy}", *overrides])
        alone, packed = (folders(root, f"{name}-{policy}-{TAG}") for name in ("alone", "packed"))
        weights = "checkpoints/step_00000100/model.safetensors"
        equal = sum(
            (one / weights).read_bytes() == (other / weights).read_bytes()
            for one, other in zip(alone, packed, strict=True)
        )
        lines.append(
            f"packed and sequential, one thread each, policy {policy}: weights of {equal} of "
            f"{len(alone)} runs are equal bit for bit after 100 steps"
        )
    sweep(root, f"stacked-{TAG}", [*common, *STACK])
    stacked = folders(root, f"stacked-{TAG}")
    apart = [
        max(
            abs(a["loss"] - b["loss"])
            for a, b in zip(rows(one)[99:], rows(other)[99:], strict=True)
        )
        for one, other in zip(alone, stacked, strict=True)
    ]
    return [
        *lines,
        f"stacked and sequential: losses at step 100 differ by at most {max(apart):.1e} "
        f"({', '.join(f'{one:.0e}' for one in apart)})",
    ]


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d-model", type=int, default=64)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--threads", type=int, default=CORES, help="threads of all ways except the packed ones"
    )
    parser.add_argument(
        "--ways", default=",".join(ON_CPU), help="comma-separated names of the ways to measure"
    )
    parser.add_argument("--no-check", action="store_true", help="do not compare results")
    parser.add_argument(
        "--measured", type=Path, help="file of single measurements, to reuse and extend"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder for caches and runs; temporary by default"
    )
    parser.add_argument("--keep", type=Path, help="file for the table")
    options = parser.parse_args()
    ways = [way.strip() for way in options.ways.split(",") if way.strip()]
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        found = []
        if options.measured is not None and options.measured.exists():
            found = [json.loads(line) for line in options.measured.read_text().splitlines()]
        fresh = measure(root, options, ways)
        if options.measured is not None:
            with open(options.measured, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(one) + "\n" for one in fresh)
        checked = [] if options.no_check else compare(root, options)
    results = ResultsFile(options.keep)
    results.write_header(("lmlab", "torch"), options.device)
    results.write_line(
        f"Medians of complete sweeps of {len(RATES)} rates, with ratios to `{REFERENCE}`."
    )
    for line in [
        "",
        *table(options, [*found, *fresh]),
        "",
        *stacked_ratios([*found, *fresh]),
        *checked,
    ]:
        results.write_line(line)


if __name__ == "__main__":
    main()
