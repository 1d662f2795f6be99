"""Ranks that share the batches of a mixture train as one process does."""

from __future__ import annotations

from pathlib import Path

import pytest
from launching import Launcher
from mixture_texts import NAMES, mixture

from lmlab.run_folder import RunFolder


@pytest.mark.long
def test_two_ranks_equal_one_process(settings: list[str], launch: Launcher, tmp_path: Path) -> None:
    words = [*mixture(tmp_path / "texts", settings), "training.steps=6", "training.log_every=1"]
    found: dict[int, RunFolder] = {}
    for size in (1, 2):
        trained = launch([*words, f"output_root={tmp_path / str(size)}"], size)
        assert trained.codes == [0] * size, trained.printed
        found[size] = trained.run
    for kind in ("train", "validation"):
        alone, together = (found[size].rows(kind) for size in (1, 2))
        assert len(alone) == len(together) > 1
        for one, two in zip(alone, together, strict=True):
            assert (one["step"], one["tokens"]) == (two["step"], two["tokens"])
            for key in ("loss", *(f"loss/{name}" for name in NAMES if kind == "validation")):
                # Gradients of halves of a batch differ in the last bits from those of all of it.
                exact = kind == "validation" and one["step"] == 0
                expected = one[key] if exact else pytest.approx(one[key], rel=1e-5)
                assert two[key] == expected, (kind, one["step"], key)
