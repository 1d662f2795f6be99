"""Sizes in a configuration are compared with the weights before anything is allocated."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from run_to_export import SIZES, make_run

from lmlab.config.compose import compose
from lmlab.errors import DataError, UserError
from lmlab.export.folder import export_run
from lmlab.runs.load import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random weights, and its export."""
    folder = tmp_path_factory.mktemp("sizes")
    make_run(folder / "run", compose([*SIZES, "model.norm=rms", "logger=none"]))
    export_run(folder / "run", folder / "hf", check=False)
    return folder


@pytest.fixture(autouse=True)
def _no_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail before a test allocates what no machine has."""
    empty = torch.empty

    def checked(*size: object, **options: object) -> torch.Tensor:
        shape = size[0] if isinstance(size[0], tuple | list) else size
        assert torch.Size(shape).numel() < 10**9, f"allocates {shape}"
        return empty(*size, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(torch, "empty", checked)


@pytest.mark.parametrize("value", [10**9, 2**62])
@pytest.mark.parametrize(
    ("key", "hf_key"),
    [
        ("vocab_size", "vocab_size"), ("d_model", "hidden_size"), ("d_ff", "intermediate_size"),
        ("num_layers", "num_hidden_layers"), ("context_length", "max_position_embeddings"),
    ],
)  # fmt: skip
def test_a_size_that_the_weights_do_not_have_is_refused(
    folder: Path, key: str, hf_key: str, value: int
) -> None:
    for path, name in (("run/config.yaml", key), ("hf/config.json", hf_key)):
        file = folder / path
        original = file.read_text()
        content = (yaml.safe_load if path.startswith("run") else json.loads)(original)
        node = content["model"] if path.startswith("run") else content
        if name == "hidden_size":
            node["head_dim"] = value // node["num_attention_heads"]
        node[name] = value
        file.write_text(json.dumps(content))
        try:
            with pytest.raises(UserError, match=rf"{path}: .*{key}[^:]*=[\d,]{{10}}"):
                load(file.parent, device="cpu")
        finally:
            file.write_text(original)
    load(folder / "run", device="cpu")
    load(folder / "hf", device="cpu")


@pytest.mark.parametrize("size", [0, 10**9, 2**63, 2**64 - 1])
def test_a_header_that_claims_a_size_is_refused(folder: Path, size: int) -> None:
    file = folder / "hf" / "model.safetensors"
    original = file.read_bytes()
    file.write_bytes(struct.pack("<Q", size) + original[8:])
    try:
        with pytest.raises(DataError, match=r"model\.safetensors: cannot be read as safetensors"):
            load(folder / "hf", device="cpu")
    finally:
        file.write_bytes(original)
    assert safetensors.torch.load_file(file)
