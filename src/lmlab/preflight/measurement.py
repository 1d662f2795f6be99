"""Time a few real steps of a run on this device.

The steps are those of the trainer, with scratch weights and random tokens. They leave torch's
random state and all files as they were, so that a run that follows computes the same numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import logging
import math
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmlab.accounting.model_counts import count_model
from lmlab.accounting.target_counts import UnknownCostError
from lmlab.build import factory
from lmlab.build.run_spec import RunSpec
from lmlab.build.workload import RunWorkload
from lmlab.console.formatting import format_count
from lmlab.data.batches import Batches
from lmlab.errors import DiskError
from lmlab.nn.transformer import Transformer
from lmlab.optim.clip import clip_gradients
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import (
    Calibration,
    calibration_file,
    read_calibration,
    write_calibration,
)
from lmlab.preflight.step_timing import MIN_SECONDS, StepTiming, spread
from lmlab.runtime.device import Device
from lmlab.runtime.random_streams import RandomStreams, preserved_generators
from lmlab.runtime.signals import SignalHandler
from lmlab.storage.io import make_folder
from lmlab.storage.litter import temporary_folder
from lmlab.training.checkpoint import Checkpoints, NoCheckpoints
from lmlab.training.evaluator import Evaluator, ValidationResult
from lmlab.training.generation import generate
from lmlab.training.state import Progress, TrainState
from lmlab.training.trainer import LoopSettings, Trainer

CPU_PASS_FLOPS = 4e10  # of a timed pass on a CPU: about a second on one core
MAX_SAVED_BYTES = 1 << 26  # states up to this size are really saved,
MAX_SAVED_FOR_LENGTH = 1 << 32  # or up to this, where the length of the run depends on it
DISK_BYTES_PER_SECOND = 3e8  # assumed for larger ones: write, sync and hash
NEW_TOKENS = 6


def find_or_calibrate(spec: RunSpec, device: Device) -> Calibration:
    """Return the calibration of the run's workload, measured now or before."""
    path = calibration_file(spec.workload, device, spec.cache_folder)
    known = read_calibration(path)
    if known is not None:
        return known
    found = calibrate(spec, device)
    write_calibration(path, found)
    return found


def calibrate(spec: RunSpec, device: Device, timing: StepTiming | None = None) -> Calibration:
    """Time a few updates, an evaluation, a save and some generated tokens.

    Args:
        spec: of the run.
        device: where it computes.
        timing: how many updates; None for those that predict the run.

    Raises:
        torch.OutOfMemoryError: an update does not fit the device.
    """
    is_cuda = device.device.type == "cuda"
    timing = timing or StepTiming.short(spec.workload)
    with preserved_generators(), _no_training_log():
        before = machine_resources.baseline_bytes(device.device)
        machine_resources.reset_peak(device.device)
        state = _scratch_state(spec, device)
        workload = spec.workload
        sequences = workload.pass_size if timing.is_long else _pass_size(workload, device)
        seconds = timing.step_seconds(_time_steps(spec, device, state, sequences, timing))
        steps = timing.log_every * len(seconds)
        peak = machine_resources.peak_bytes(device.device) if is_cuda else None
        update = _timed(functools.partial(_update, spec.workload, state), device)
        found = Calibration(
            step=_step_seconds(timing.typical(seconds), update, workload.batch_size / sequences),
            evaluation=_time_evaluation(spec.workload, device, state),
            token=_time_samples(spec.workload, device, state),
            peak_bytes=None if peak is None else peak - before,
            steps=steps,
            sequences=sequences,
            source=f"{format_count(steps, 'step')} of "
            f"{format_count(sequences, 'sequence')} on this device",
            spread=spread(seconds) if timing.is_long else None,
            **_time_saving(
                spec.cache_folder,
                state,
                MAX_SAVED_FOR_LENGTH if timing.is_long else MAX_SAVED_BYTES,
            ),
        )
    del state
    gc.collect()
    if is_cuda:
        torch.cuda.empty_cache()
    return found


def _step_seconds(step: float, update: float, passes: float) -> float:
    """Time of a step of ``passes`` passes, where the timed steps had one pass each."""
    return passes * max(step - update, 0.0) + update if passes != 1 else step


def _scratch_state(spec: RunSpec, device: Device) -> TrainState:
    model = factory.build_scratch_network(spec, device)
    optimizer, average = factory.build_optimizer(spec, model), factory.build_average(spec, model)
    return TrainState(model, optimizer, Progress(), average)


def _pass_size(workload: RunWorkload, device: Device) -> int:
    """Sequences of a timed pass: those of the run; on a CPU at most as many as take a second."""
    if device.device.type != "cpu":
        return workload.pass_size
    try:
        per_sequence = count_model(workload.model).training_flops()
    except UnknownCostError:
        return workload.pass_size
    return max(1, min(workload.pass_size, int(CPU_PASS_FLOPS / per_sequence)))


def _time_steps(
    spec: RunSpec, device: Device, state: TrainState, sequences: int, timing: StepTiming
) -> list[float]:
    """Take updates; return the times at which they ended, in seconds."""
    stop, ends = SignalHandler(), []
    workload = spec.workload

    def record(row: dict[str, Any]) -> None:
        if row["kind"] != "train":
            return
        ends.append(time.perf_counter())
        if timing.is_enough(ends):
            stop.signal_number = signal.SIGTERM

    context = workload.context_length
    tokens = _tokens(workload.vocab_size, max(10_000, (context + 1) * (sequences + 1)))
    assert isinstance(state.model, Transformer)
    timed = dataclasses.replace(workload, micro_batch_size=sequences)
    last_step = timing.most_steps + 2
    Trainer(
        state=state,
        gradients=factory.build_gradients(spec, state.model, device, timed),
        batches=Batches(tokens, context_length=context, batch_size=sequences, seed=0),
        streams=RandomStreams(0, device.device),
        schedule=lambda step: 0.0,  # all work of an update, and weights that stay finite
        evaluate=lambda model: ValidationResult(math.nan, math.nan, math.nan, 1),
        checkpoints=NoCheckpoints(),
        record=record,
        settings=LoopSettings(
            steps=last_step,
            grad_clip_norm=workload.grad_clip_norm,
            log_every=timing.log_every,
            validate_every=last_step,
            save_every=last_step,
            divergence_margin=math.inf,
            flops_per_token=1,
            peak_flops=None,
            show_progress=False,
        ),
        device=device.device,
        stop=stop,
    ).train()
    return ends


def _update(workload: RunWorkload, state: TrainState) -> None:
    clip_gradients(state.model.parameters(), workload.grad_clip_norm)
    state.optimizer.step()


def _time_evaluation(workload: RunWorkload, device: Device, state: TrainState) -> float:
    length, wanted = workload.context_length + 1, workload.validation_batch_size
    pass_size = max(1, _pass_size(workload, device))
    batch = wanted if wanted / pass_size <= 4 else pass_size
    evaluator = Evaluator(
        _tokens(workload.vocab_size, length * batch),
        [(index * length, length) for index in range(batch)],
        num_bytes=length * batch,
        batch_size=batch,
        device=device.device,
        use_bf16=device.policy.precision == "bf16",
    )
    seconds = _timed(lambda: evaluator.evaluate(state.model), device)
    return seconds * wanted / batch


def _time_samples(workload: RunWorkload, device: Device, state: TrainState) -> float:
    prompts = [[0]] * workload.num_samples
    if not prompts:
        return 0.0
    num_tokens = min(NEW_TOKENS, workload.sample_tokens)
    assert isinstance(state.model, Transformer)
    draw = functools.partial(generate, state.model, prompts, max_new_tokens=num_tokens, seed=0)
    return _timed(draw, device) / num_tokens


def _time_saving(
    cache_folder: Path, state: TrainState, most_bytes: int = MAX_SAVED_BYTES
) -> dict[str, float]:
    weights = 4 * sum(parameter.numel() for parameter in state.model.parameters())
    tensors = (t for s in state.optimizer.state.values() for t in s.values())
    total = weights + sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))
    if total > most_bytes:
        speed = DISK_BYTES_PER_SECOND
        return {"saving": total / speed, "saving_best": weights / speed}
    with temporary_folder(_writable(cache_folder), "calibration") as folder:
        checkpoints = Checkpoints(folder, keep_last=1)
        started = time.perf_counter()
        checkpoints.save(state)
        middle = time.perf_counter()
        checkpoints.save_best(state.model, 1, 1.0)
        ended = time.perf_counter()
    return {"saving": middle - started, "saving_best": ended - middle}


def _writable(folder: Path) -> Path:
    """Return the folder, or that of temporary files where it cannot be written."""
    with contextlib.suppress(DiskError):
        if os.access(make_folder(folder), os.W_OK):
            return folder
    return Path(tempfile.gettempdir())


def _timed(act: Callable[[], Any], device: Device) -> float:
    """Seconds of a call, the device's work included: the median of a few after a warm-up."""
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) < 6 and sum(seconds) < MIN_SECONDS):
        started = time.perf_counter()
        act()
        if device.device.type == "cuda":
            torch.cuda.synchronize(device.device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def _tokens(vocab_size: int, number: int) -> np.ndarray[Any, Any]:
    kind = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    return np.random.default_rng(0).integers(0, vocab_size, number, dtype=kind)


@contextlib.contextmanager
def _no_training_log() -> Iterator[None]:
    """Keep the messages of the scratch run out of the log."""
    logger = logging.getLogger("lmlab.training.trainer")
    former, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = former
