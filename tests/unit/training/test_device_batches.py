from __future__ import annotations

import numpy as np
import torch

from lmlab.data.batches import Batches
from lmlab.training.device_batches import DeviceBatches, fits_on_device


def test_batches_on_a_device_equal_those_on_the_host() -> None:
    tokens = np.random.default_rng(0).integers(0, 60_000, 5_000).astype(np.uint16)
    batches = Batches(tokens, context_length=16, batch_size=6, seed=3)
    device_batches = DeviceBatches(batches, torch.device("cpu"))
    for step in (0, 1, 57, 400):
        for ours, theirs in zip(device_batches.batch(step), batches.batch(step), strict=True):
            assert ours.dtype == torch.int64
            assert np.array_equal(ours.numpy(), theirs)


def test_only_a_gpu_stores_the_text() -> None:
    assert not fits_on_device(torch.device("cpu"), 1)
