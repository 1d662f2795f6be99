"""Time the training step with data.windows=document beside data.windows=cross.

    python benchmarks/document_windows.py --keep RESULTS.md
    python benchmarks/document_windows.py model.context_length=1024 model.attention.window=128

Overrides change the default model. Both steps run in this process, on the same batches of random
tokens with documents of about the given length, and take turns; which one begins alternates from
round to round. A ratio is the speed with ``document`` divided by that with ``cross`` in the same
round; the median over the rounds is shown with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from results_file import CORES, ResultsFile
from torch import Tensor

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.document_layout import Documents
from lmlab.optim.clip import clip_gradients
from lmlab.runs.auto_settings import choose_device

POLICIES = [("exact", False), ("fast", False), ("fast", True), ("bf16", False), ("bf16", True)]
WINDOWS = ("cross", "document")
END = 0


def build_step(words: list[str], windows: str) -> tuple[Callable[[Tensor, Tensor], None], int, int]:
    """Return an update as the trainer takes it, the batch size and the context length."""
    spec = resolve(compose([*words, f"data.windows={windows}"]))
    device = choose_device(spec)
    device.apply()
    documents = Documents(END) if windows == "document" else None
    state = factory.build_state(spec, device, documents=documents)
    model = state.model
    gradients = factory.build_gradients(spec, model, device)  # type: ignore[arg-type]

    def step(inputs: Tensor, targets: Tensor) -> None:
        state.optimizer.zero_grad(set_to_none=True)
        float(gradients(inputs, targets)["loss"])  # waits for a GPU
        clip_gradients(model.parameters(), 1.0)
        state.optimizer.step()

    return step, spec.workload.batch_size, spec.workload.context_length


def batch_of(shape: tuple[int, int], length: int, device: str) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of random tokens, one of ``length`` an end of a document."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 250, (shape[0], shape[1] + 1), generator=generator)
    ids[torch.rand(ids.shape, generator=generator) < 1 / length] = END
    return ids[:, :-1].to(device), ids[:, 1:].to(device)


def compare(words: list[str], options: argparse.Namespace) -> str:
    """Time both steps in turns; return the columns of a row."""
    steps = {}
    for windows in WINDOWS:
        steps[windows], batch_size, context = build_step(words, windows)
    batch = batch_of((batch_size, context), options.document, options.device)
    for step in steps.values():  # compile, and choose kernels
        for _ in range(2):
            step(*batch)
    ratios, seconds = [], {windows: [] for windows in WINDOWS}
    for number in range(options.rounds):
        for windows in WINDOWS[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            for _ in range(options.steps):
                steps[windows](*batch)
            seconds[windows].append((time.perf_counter() - started) / options.steps)
        ratios.append(seconds["cross"][-1] / seconds["document"][-1])
    times = (f"{1e3 * statistics.median(seconds[one]):.1f}" for one in WINDOWS)
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return " | ".join([*times, ratio])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", help="settings of the model and the batch")
    parser.add_argument("--document", type=int, default=120, help="mean tokens per document")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5, help="updates per round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--keep", type=Path, help="file of the results")
    options = parser.parse_args()
    results = ResultsFile(options.keep)
    results.write_header(["torch"], options.device)
    results.write_line("| policy | cross, ms | document, ms | speed of document / cross |")
    results.write_line("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for policy, compiled in POLICIES:
            words = [
                f"runtime.policy={policy}", f"runtime.compile={compiled}",
                f"runtime.device={options.device}", f"runtime.threads={options.threads}",
                f"output_root={folder}", *options.overrides,
            ]  # fmt: skip
            name = f"{policy}, compiled" if compiled else policy
            results.write_line(f"| {name} | {compare(words, options)} |")


if __name__ == "__main__":
    main()
