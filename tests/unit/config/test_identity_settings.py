"""Which settings make another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.config.identity_settings import identity_settings
from lmlab.hf.config_writer import config_to_hf
from lmlab.storage.io import write_json


def settings_of(*overrides: str) -> dict[str, Any]:
    return identity_settings(compose(list(overrides)))


@pytest.mark.parametrize(
    "override",
    [
        "model.norm=post", "model.d_model=64", "model.norm.eps=1e-6", "optim.lr=1", "optim=sgd",
        "schedule=linear", "schedule.warmup_steps=1", "training.steps=601",
        "training.batch_size=64", "training.micro_batch_size=1", "training.grad_clip_norm=2",
        "validation.every_steps=7", "validation.max_tokens=99", "seeds.init=1", "seeds.data=1",
        "seed=1", "model.tie_embeddings=true", "model.vocab_size=999",
        "model.dropout=0.1", "training.patience=3", "training.ema=0.9",
        "model.param=mup", "model.param=completep", "data.windows=document",
        "model.pos.scaling={factor:8,low_freq_factor:1,high_freq_factor:4,"
        "original_context_length:64}",
    ],
)  # fmt: skip
def test_a_setting_that_changes_the_result_is_in_the_identity(override: str) -> None:
    assert settings_of(override) != settings_of()


@pytest.mark.parametrize(
    "override",
    [
        "study=x", "arm=y", "output_root=/tmp/x", "logger=none", "logger.project=p",
        "samples.count=2", "seeds.sampling=4", "checkpoint.keep_last=5", "checkpoint.every_steps=9",
        "runtime.device=cpu", "training.log_every=3", "training.diagnose_every=3",
        "validation.batch_size=8", "parent=x",
    ],
)  # fmt: skip
def test_a_setting_that_does_not_change_the_result_is_not_in_the_identity(override: str) -> None:
    assert settings_of(override) == settings_of()


def test_imported_weights_are_identified_by_their_hash_and_not_by_their_folder(
    tmp_path: Path,
) -> None:
    node = compose(["model.vocab_size=300"]).model.as_dict()
    found = []
    for name, weights in (("one", b"same"), ("two", b"same"), ("three", b"other")):
        write_json(tmp_path / name / "config.json", config_to_hf(node, d_ff=64))
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        found.append(settings_of("model=imported", f"model.init.path={tmp_path / name}"))
    assert found[0] == found[1] != found[2]


def test_the_standard_parametrization_is_not_in_the_identity() -> None:
    assert "param" not in settings_of()["model"]
    mup = settings_of("model.param=mup")["model"]["param"]
    assert mup["base_d_model"] == 128


def test_parameters_that_earlier_versions_did_not_have_are_left_out_at_their_defaults() -> None:
    config = compose([])
    assert "scaling" in config.model.pos.parameters
    assert settings_of()["model"]["pos"].keys() == {"_target_", "theta"}
    assert "scaling" in settings_of("model.pos=partial_rope")["model"]["pos"]
    assert "window" in config.model.attention.parameters
    causal = settings_of()["model"]["attention"]
    assert causal.keys() == {"_target_", "num_kv_heads", "qk_norm"}
    assert settings_of("model.attention.window=8")["model"]["attention"] == causal | {"window": 8}


def test_targets_have_their_original_names() -> None:
    assert settings_of()["schedule"]["_target_"] == "lmlab.optim.schedule.cosine"
    assert settings_of() == settings_of("schedule._target_=lmlab.optim.schedule.cosine")
