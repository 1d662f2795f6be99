"""Runs on a mixture: what they record of each source, their identity, and exact resumes."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from launching import hold_at
from mixture_texts import NAMES, mixture

from lmlab.build.identity import run_identity
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.execute import execute


@pytest.fixture
def words(overrides: list[str], tmp_path: Path) -> list[str]:
    return mixture(tmp_path / "texts", overrides)


def identity(words: list[str]) -> dict[str, Any]:
    spec = resolve(compose(words))
    return run_identity(spec.identity_settings, prepare_data(spec.data), choose_device(spec))


@pytest.mark.long
def test_a_run_records_each_source(words: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run = execute(compose(words)).run
    meta, rows = run.meta(), run.rows("validation")
    assert list(meta["sources"]) == list(NAMES)
    assert meta["sources"]["news"]["share"] == pytest.approx(3 / 4.5)
    assert meta["train_tokens"] == sum(one["train_tokens"] for one in meta["sources"].values())
    for row in rows:
        losses = [row[f"loss/{name}"] for name in NAMES]
        assert row["loss"] == pytest.approx(sum(losses) / 3, rel=1e-12)
        bits = [row[f"bits_per_byte/{name}"] for name in NAMES]
        assert row["bits_per_byte"] == pytest.approx(sum(bits) / 3, rel=1e-12)
    assert rows[-1]["loss/news"] < rows[0]["loss/news"]
    assert f"validation loss of code {rows[-1]['loss/code']:.4f}, news" in caplog.text
    assert "data.sources.news: 66.67% of the training tokens; the run reads its" in caplog.text


@pytest.mark.long
def test_the_identity_follows_weights_and_texts_only(words: list[str], tmp_path: Path) -> None:
    first = identity(words)
    assert identity([*words, "data.weights={news: 6, code: 2, tales: 1}"]) == first
    other = identity([*words, "data.weights.news=4"])
    assert {key for key in first if first[key] != other[key]} == {"train_text"}
    measured = identity([*words, "data.valid_weights=${data.weights}"])
    assert {key for key in first if first[key] != measured[key]} == {"valid_text"}


@pytest.mark.long
def test_a_killed_run_ends_with_the_same_bits(words, train, start, tmp_path: Path) -> None:
    def of(name: str) -> RunFolder:
        (found,) = (tmp_path / name).glob("runs/*/seed0")
        return RunFolder(found)

    words = [*words, "checkpoint.every_steps=1"]
    assert train([*words, f"output_root={tmp_path / 'straight'}"]) == 0
    cut = [*words, f"output_root={tmp_path / 'cut'}"]
    for step in (7, 13):
        process = start(cut, functools.partial(hold_at, step))
        while not list((tmp_path / "cut").glob(f"runs/*/seed0/checkpoints/step_{step - 1:08d}")):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert train(cut) == 0
    one, two = of("straight"), of("cut")
    weights = Path("checkpoints", "step_00000020", "model.safetensors")
    assert (one.path / weights).read_bytes() == (two.path / weights).read_bytes()
    assert len(two.meta()["sessions"]) == 3
    for left, right in zip(one.rows(), two.rows(), strict=True):
        for key in left.keys() - {"seconds", "tokens_per_second"}:
            assert left[key] == right[key]
