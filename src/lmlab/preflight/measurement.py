"""A few real steps of a configuration on this device, timed.

The steps are the trainer's own, on scratch weights and made-up tokens; a run that begins afterwards
finds its random state, its weights and its files as if there had been none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import itertools
import logging
import math
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
from lmlab.config.run_config import RunConfig
from lmlab.data.batches import Batches
from lmlab.nn.transformer import Transformer
from lmlab.optim.clip import clip_gradients
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import Calibration, calibration_file, known_calibration
from lmlab.runtime.device import Device
from lmlab.runtime.signals import SignalHandler
from lmlab.storage.io import make_folder, write_json
from lmlab.training.checkpoint import Checkpoints, NoCheckpoints
from lmlab.training.evaluator import Evaluator, ValidationResult
from lmlab.training.generation import generate
from lmlab.training.state import Progress, TrainState
from lmlab.training.trainer import LoopSettings, Trainer

QUICK_SECONDS = 0.15  # of timed steps, whatever the run is
RUN_SHARE = 1 / 30  # of a run's steps are timed where that takes longer,
LONGEST_SECONDS = 4.0  # but no longer than that
MOST_STEPS, LEAST_STEPS = 30, 2
CPU_PASS_FLOPS = 4e10  # of a timed step on a CPU, about a second of one core
LARGEST_SAVED = 1 << 26  # bytes of a state that is saved for timing
DISK_BYTES_A_SECOND = 3e8  # guessed for larger ones: written, synced and hashed
NEW_TOKENS = 6


def calibration_of(config: RunConfig, device: Device) -> Calibration:
    """Measure, or find measured before."""
    known = known_calibration(config, device)
    if known is not None:
        return known
    found = calibrate(config, device)
    write_json(calibration_file(config, device), dataclasses.asdict(found))
    return found


def calibrate(config: RunConfig, device: Device) -> Calibration:
    """Take a few steps, an evaluation, a save and some tokens, all on scratch.

    Raises:
        torch.OutOfMemoryError: the step does not fit the device.
    """
    devices = [device.device] if device.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _silence():
        before = machine_resources.held_before(device.device)
        machine_resources.watch_peak(device.device)
        state = _scratch_state(config, device)
        sequences = _sequences(config, device)
        seconds = _time_steps(config, device, state, sequences)
        peak = machine_resources.peak_bytes(device.device) if device.device.type == "cuda" else None
        update = _timed(functools.partial(_update, config, state), device)
        passes = config.training.batch_size / sequences
        step = statistics.median(seconds)
        whole = passes * max(step - update, 0.0) + update if passes != 1 else step
        found = Calibration(
            step=whole,
            evaluation=_time_evaluation(config, device, state),
            token=_time_samples(config, device, state),
            peak_bytes=None if peak is None else peak - before,
            steps=len(seconds),
            sequences=sequences,
            source=f"{len(seconds)} steps of {sequences:,} sequences on this device",
            **_time_saving(config, state),
        )
    del state
    gc.collect()
    if device.device.type == "cuda":
        torch.cuda.empty_cache()
    return found


def _scratch_state(config: RunConfig, device: Device) -> TrainState:
    model = factory.build_scratch_network(config, device)
    return TrainState(model, factory.build_optimizer(config, model), Progress())


def _sequences(config: RunConfig, device: Device) -> int:
    """Of a timed pass: those of the run, or on a CPU as many as take about a second."""
    micro: int = config.training.micro_batch_size or config.training.batch_size
    if device.device.type != "cpu":
        return micro
    try:
        a_sequence = count_model(config.model.as_dict()).training_flops()
    except UnknownCostError:
        return micro
    return max(1, min(micro, int(CPU_PASS_FLOPS / a_sequence)))


def _time_steps(
    config: RunConfig, device: Device, state: TrainState, sequences: int
) -> list[float]:
    """Seconds of single updates, the first ones aside."""
    stop, ends = SignalHandler(), []
    share = max(LEAST_STEPS, round(RUN_SHARE * config.training.steps))

    def record(row: dict[str, Any]) -> None:
        if row["kind"] != "train":
            return
        ends.append(time.perf_counter())
        steps, taken = len(ends) - 1, ends[-1] - ends[0]
        enough = steps >= share and taken >= QUICK_SECONDS
        if enough or steps == MOST_STEPS or taken >= LONGEST_SECONDS:
            stop.signal_number = signal.SIGTERM

    context = config.model.context_length
    tokens = _tokens(config, max(10_000, (context + 1) * (sequences + 1)))
    assert isinstance(state.model, Transformer)
    Trainer(
        state=state,
        gradients=factory.build_gradients(config, state.model, device, sequences),
        batches=Batches(tokens, context_length=context, batch_size=sequences, seed=0),
        schedule=lambda step: 0.0,  # all work of an update, and weights that stay finite
        evaluate=lambda model: ValidationResult(math.nan, math.nan, math.nan, 1),
        checkpoints=NoCheckpoints(),
        record=record,
        settings=LoopSettings(
            steps=MOST_STEPS + 2,
            grad_clip_norm=config.training.grad_clip_norm,
            log_every=1,
            validate_every=MOST_STEPS + 2,
            save_every=MOST_STEPS + 2,
            divergence_margin=math.inf,
            flops_per_token=1,
            peak_flops=None,
            show_progress=False,
        ),
        device=device.device,
        stop=stop,
    ).train()
    return [after - before for before, after in itertools.pairwise(ends)]


def _update(config: RunConfig, state: TrainState) -> None:
    clip_gradients(state.model.parameters(), config.training.grad_clip_norm)
    state.optimizer.step()


def _time_evaluation(config: RunConfig, device: Device, state: TrainState) -> float:
    length = config.model.context_length + 1
    flops = config.validation.batch_size / max(1, _sequences(config, device))
    batch = config.validation.batch_size if flops <= 4 else max(1, _sequences(config, device))
    tokens = _tokens(config, length * batch)
    evaluator = Evaluator(
        tokens,
        [(index * length, length) for index in range(batch)],
        np.ones(config.model.vocab_size, dtype=np.int64),
        batch_size=batch,
        device=device.device,
        in_bf16=device.policy.precision == "bf16",
    )
    seconds = _timed(lambda: evaluator.evaluate(state.model), device)
    return seconds * config.validation.batch_size / batch


def _time_samples(config: RunConfig, device: Device, state: TrainState) -> float:
    prompts = [[0]] * (len(config.samples.prompts) * config.samples.count)
    number = min(NEW_TOKENS, config.samples.max_new_tokens)
    if not prompts:
        return 0.0
    assert isinstance(state.model, Transformer)
    model = state.model
    draw = lambda: generate(model, prompts, max_new_tokens=number, seed=0)  # noqa: E731
    return _timed(draw, device) / number


def _time_saving(config: RunConfig, state: TrainState) -> dict[str, float]:
    weights = 4 * sum(parameter.numel() for parameter in state.model.parameters())
    tensors = (t for s in state.optimizer.state.values() for t in s.values())
    held = weights + sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))
    if held > LARGEST_SAVED:
        return {"saving": held / DISK_BYTES_A_SECOND, "saving_best": weights / DISK_BYTES_A_SECOND}
    cache = make_folder(config.cache_folder)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".calibration-") as name:
        checkpoints = Checkpoints(Path(name), keep_last=1)
        started = time.perf_counter()
        checkpoints.save(state)
        middle = time.perf_counter()
        checkpoints.save_best(state.model, 1, 1.0)
        ended = time.perf_counter()
    return {"saving": middle - started, "saving_best": ended - middle}


def _timed(act: Callable[[], Any], device: Device) -> float:
    """Seconds of an act, the device's work included: the median of a few after the first."""
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) < 6 and sum(seconds) < QUICK_SECONDS):
        started = time.perf_counter()
        act()
        if device.device.type == "cuda":
            torch.cuda.synchronize(device.device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def _tokens(config: RunConfig, number: int) -> np.ndarray[Any, Any]:
    kind = np.uint16 if config.model.vocab_size <= 1 << 16 else np.uint32
    return np.random.default_rng(0).integers(0, config.model.vocab_size, number, dtype=kind)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what the scratch run says of itself from the log."""
    logger = logging.getLogger("lmlab.training.trainer")
    former, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = former
