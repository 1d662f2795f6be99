"""Runs on files of ids: one identity and the same losses from every form of one sequence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from token_forms import END, FORMS

import lmlab
from lmlab.build.run_data import check_source
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


def words_of(overrides: list[str], folder: Path, form: str, *more: str) -> list[str]:
    """The overrides of a run on ids of a form, with its own output folder."""
    folder = folder / f"{form}{len(more)}"
    folder.mkdir()
    kept = [w for w in overrides if not w.startswith(("data", "model.vocab_size", "output_root"))]
    return [
        *kept, "data=tokens", f"data.train={FORMS[form](folder)}", f"data.end_id={END}",
        "tokenizer=ids", "model.vocab_size=1000", f"output_root={folder / 'outputs'}", *more,
    ]  # fmt: skip


def losses(run: RunFolder) -> list[float]:
    return [row["loss"] for row in run.rows("validation")]


@pytest.mark.long
def test_every_form_is_the_same_run(overrides: list[str], tmp_path: Path) -> None:
    first = execute(compose(words_of(overrides, tmp_path, "nanogpt"))).run
    meta = first.meta()
    assert meta["train_tokens"] + meta["valid_tokens"] > 2000 and meta["valid_text_bytes"] == 0
    assert not (first.path / "samples.md").exists() and losses(first)[-1] < losses(first)[0]
    for form in ("llmc", "megatron32"):
        run = execute(compose(words_of(overrides, tmp_path, form))).run
        assert run.meta()["run"] == meta["run"]
        assert losses(run) == losses(first)
    loaded = lmlab.load(first.path)
    assert not loaded.tokenizer.has_text and loaded.tokenizer.vocab_size == 1000


@pytest.mark.long
def test_bits_per_byte_are_by_the_given_bytes(overrides: list[str], tmp_path: Path) -> None:
    words = words_of(overrides, tmp_path, "llmc", "data.bytes_per_token=4.0")
    run = execute(compose([*words, "training.steps=5", "validation.every_steps=5"])).run
    (*_, row) = run.rows("validation")
    ids = run.meta()["valid_tokens"]
    nats = row["loss"] * (ids - 1)
    assert row["bits_per_byte"] == pytest.approx(nats / math.log(2) / (4 * ids), rel=1e-12)
    assert run.meta()["valid_text_bytes"] == 4 * ids


def test_a_tokenizer_that_must_be_trained_is_refused_at_once(
    overrides: list[str], tmp_path: Path
) -> None:
    spec = resolve(compose(words_of(overrides, tmp_path, "nanogpt", "tokenizer=bpe"))).data
    with pytest.raises(ConfigError, match="expected text to train on") as refused:
        check_source(spec)
    assert "tokenizer=ids" in str(refused.value.help)
    assert not spec.cache_folder.exists()
