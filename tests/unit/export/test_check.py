"""The check of an export finds wrong weights and wrong components."""

from __future__ import annotations

from pathlib import Path

import pytest

import lmlab
from lmlab.config.compose import compose
from lmlab.errors import DataError
from lmlab.export.check import check_export
from lmlab.export.folder import export_run
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.tokenizer import Tokenizer


@pytest.fixture
def run(overrides: list[str]) -> RunFolder:
    """A run of about a second."""
    return execute(compose([*overrides, "optim.lr=1e-2"])).run


def test_an_export_with_other_logits_is_deleted(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmlab.hf import config_writer, weights

    swapped = weights._LLAMA_LAYER | {
        "ffn.sublayer.gate.weight": "mlp.up_proj.weight",
        "ffn.sublayer.up.weight": "mlp.gate_proj.weight",
    }
    monkeypatch.setattr(weights, "_LLAMA_LAYER", swapped)
    with pytest.raises(DataError, match="transformers computes different logits"):
        export_run(run.path, tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setitem(config_writer.NORMS, "lmlab.nn.norm.PreRMSNorm", "pre_layer")
    with pytest.raises(DataError, match="computes different logits"):
        export_run(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_tokenizer_is_found(run: RunFolder, tmp_path: Path) -> None:
    export_run(run.path, tmp_path / "out", check=False)
    loaded = lmlab.load(run.path, device="cpu")
    assert check_export(tmp_path / "out", loaded)[-1].endswith("the same ids")
    merges = list(reversed(loaded.tokenizer.merges))
    base = {byte: bytes([byte]) for byte in range(256)}
    made = {256 + index: left + right for index, (left, right) in enumerate(merges)}
    other = Tokenizer(base | made, merges, loaded.tokenizer.special_tokens)
    with pytest.raises(DataError, match="produces different token ids"):
        check_export(tmp_path / "out", loaded._replace(tokenizer=other))
