"""The number of threads of a job: by the size of its updates, never by the load."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.sweep import threads
from lmlab.sweep.threads import resolve_threads, training_flops


def threads_of(overrides: list[str]) -> Any:
    return resolve_threads(compose(overrides).as_dict())["runtime"]["threads"]


def test_small_updates_get_one_thread_and_large_ones_all_cores(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 6)
    auto = [*overrides, "runtime.threads=auto"]
    large = ["model.d_model=512", "model.context_length=256", "model.num_layers=4"]
    assert threads_of(auto) == 1
    assert threads_of([*auto, *large, "training.batch_size=32"]) == 6
    assert threads_of([*overrides, "runtime.threads=3"]) == 3, "an explicit number stays"
    content = resolve_threads(compose(auto).as_dict())
    assert resolve_threads(content) == content


def test_training_flops_grow_with_the_steps(overrides: list[str]) -> None:
    short, long = (compose([*overrides, f"training.steps={n}"]).as_dict() for n in (10, 30))
    assert training_flops(long) == 3 * training_flops(short) > 0
