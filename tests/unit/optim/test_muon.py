"""Muon and AdamW as one optimizer, compared with torch's two optimizers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from optimizer_cases import assert_resume_is_exact, model_and_optimizer, set_gradients

from lmlab.errors import ConfigError

needs_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="this version of torch has no Muon"
)


@needs_muon
def test_muon_updates_hidden_matrices_and_adamw_all_other_parameters() -> None:
    overrides = ["optim=muon", "optim.lr=0.02", "optim.adamw_lr=0.003"]
    model, combined = model_and_optimizer(*overrides)
    reference, _ = model_and_optimizer(*overrides)
    named = list(reference.named_parameters())
    hidden = [w for name, w in named if name.startswith("blocks.") and w.ndim == 2]
    matrices = [w for name, w in named if w.ndim == 2 and not name.startswith("blocks.")]
    vectors = [w for w in reference.parameters() if w.ndim < 2]
    muon = torch.optim.Muon(
        hidden, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, ns_steps=5,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    adamw = torch.optim.AdamW(
        [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.003, betas=(0.9, 0.95), weight_decay=0.1,
    )  # fmt: skip
    assert [group["initial_lr"] for group in combined.param_groups] == [
        0.02 if group["name"] == "hidden" else 0.003 for group in combined.param_groups
    ]
    for step in range(4):
        set_gradients(model, step)
        set_gradients(reference, step)
        combined.step()
        muon.step()
        adamw.step()
    for (name, weight), expected in zip(
        model.named_parameters(), reference.parameters(), strict=True
    ):
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6, msg=name)


@needs_muon
def test_resuming_from_a_checkpoint_is_bit_identical(tmp_path: Path) -> None:
    param = ["model.param=completep", "model.param.base_d_model=8"]  # several groups of each kind
    assert_resume_is_exact(tmp_path / "standard", "optim=muon")
    assert_resume_is_exact(tmp_path / "completep", "optim=muon", *param)


def test_torch_without_muon_is_reported_with_the_version_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(ConfigError) as error:
        model_and_optimizer("optim=muon")
    assert error.value.message == (
        f"optim=muon: expected torch 2.9 or newer, found torch {torch.__version__}"
    )
    assert error.value.help == "upgrade torch or choose optim=adamw"
