"""The model card states the records of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.export.card import model_card
from lmlab.nn.transformer import Transformer
from lmlab.run_folder import RunFolder


@pytest.fixture
def model() -> Transformer:
    sizes = ["vocab_size=257", "context_length=8", "d_model=16", "num_layers=1", "num_heads=2"]
    overrides = ["tokenizer=bytes", *(f"model.{size}" for size in sizes)]
    return factory.build_model(resolve(compose(overrides)))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "study" / "arm" / "seed0")
    run.write_meta(
        {
            "identity": {"train_text": "abc123"},
            "corpus": "stories",
            "train_tokens": 12_345,
            "floor": {"bits_per_byte": 0.4321, "note": "stories"},
            "sessions": [
                {"command": ["python", "-m", "old"]},
                {
                    "command": ["python", "-m", "lmlab.train", "arm=a b"],
                    "versions": {"lmlab": "0.9"},
                    "code": {"commit": "f00d", "changed": True},
                },
            ],
        }
    )
    run.write_status("done", step=20, steps=20)
    for step, loss in ((10, 1.5), (20, 1.25)):
        row = {"kind": "validation", "step": step, "tokens": 100 * step, "loss": loss}
        run.append_row(row | {"perplexity": 4.0, "bits_per_byte": loss / 2})
    return run


def test_a_card_states_the_records_of_its_step(run: RunFolder, model: Transformer) -> None:
    content = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    card = model_card(run, content, model, 10, True)
    for part in (
        "# study/arm/seed0", f"{model.num_parameters():,} parameters", "LlamaForCausalLM",
        "| corpus | stories |", "SHA-256 abc123", "| training tokens | 12,345 |",
        "| step of the weights | 10 of 20 |", "| tokens seen | 1,000 |",
        "| validation loss | 1.5000 nats per token |", "| bits per byte | 0.7500 |",
        "| entropy of the validation text | 0.4321 bits per byte (stories) |",
        "| lmlab | 0.9 |", "| commit | f00d with uncommitted changes |",
        "python -m lmlab.train 'arm=a b'", "(learning_curve.png)",
    ):  # fmt: skip
        assert part in card, part
    assert "1.2500" not in card and "-m old" not in card
    assert "trust_remote_code" not in card and "modeling_lmlab.py" not in card


def test_a_card_of_a_custom_class_says_so(run: RunFolder, model: Transformer) -> None:
    content = {"model_type": "lmlab", "architectures": ["LMLabForCausalLM"]}
    card = model_card(run, content, model, 20, False)
    assert "trust_remote_code=True" in card and "`modeling_lmlab.py`" in card
    assert "learning_curve.png" not in card


def test_a_card_without_records_stays_readable(tmp_path: Path, model: Transformer) -> None:
    content = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    card = model_card(RunFolder(tmp_path / "a" / "b" / "c"), content, model, 5, False)
    assert "| corpus | unknown |" in card and "validation loss" not in card
