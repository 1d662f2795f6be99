"""Finished runs that no study planned: real configurations, chosen losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lmlab.config.compose import compose
from lmlab.config.identity_settings import select_identity
from lmlab.run_folder import RunFolder

_STEPS = (0, 100, 200, 300)


def write_found_run(
    root: Path,
    arm: str,
    seed: int,
    final: float,
    overrides: Sequence[str] = (),
    *,
    status: str = "done",
    valid_text: str = "v" * 64,
    tokenizer: str = "t" * 64,
    bits_per_byte: float | None = None,
    num_tokens: int = 5000,
    parameters: int = 1000,
    device: str = "cpu",
) -> RunFolder:
    """Write the records of a run; its loss falls to ``final`` at the last evaluation."""
    run = RunFolder(root / "runs" / arm / f"seed{seed}")
    typed = [*overrides, f"seed={seed}", "logger=none"]
    config = compose([*typed, "training.steps=300"]).as_dict()
    run.path.mkdir(parents=True)
    run.config.write_text(yaml.safe_dump(config), "utf-8")
    for step in _STEPS:
        loss = final + (300 - step) / 100
        bits = loss / 3 if bits_per_byte is None else bits_per_byte + (300 - step) / 300
        row: dict[str, Any] = {"step": step, "tokens": 64 * step, "seconds": step / 50}
        run.append_row(row | {"kind": "train", "loss": loss})
        run.append_row(
            row | {"kind": "validation", "loss": loss, "bits_per_byte": bits,
                   "num_tokens": num_tokens}
        )  # fmt: skip
    run.write_status(status, step=300, steps=300, tokens=64 * 300, seconds=6.0)
    session = {"time": "2026-01-01T00:00:00Z", "device": device, "platform": "test",
               "command": ["python", "-m", "lmlab.train", *overrides, f"seed={seed}"],
               "python": "3", "versions": {"torch": "2"}, "code": {"commit": "c" * 40}}  # fmt: skip
    identity = {
        "config": select_identity(config), "train_text": "a" * 64, "valid_text": valid_text,
        "tokenizer": tokenizer, "device": {"device_type": device, "threads": 1},
    }  # fmt: skip
    run.write_meta(
        {"identity": identity, "num_parameters": parameters, "forward_flops_per_token": 2000,
         "valid_tokens": 5000, "sessions": [session]}
    )  # fmt: skip
    return run


def write_found_runs(
    root: Path, arm: str, losses: dict[int, float], overrides: Sequence[str] = (), **facts: Any
) -> str:
    """Write a run for each seed; return the folder of the arm."""
    for seed, loss in losses.items():
        write_found_run(root, arm, seed, loss, overrides, **facts)
    return str(root / "runs" / arm)
