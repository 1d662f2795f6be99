"""Check that an exported folder computes what the model does."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import torch

from lmlab.errors import DataError
from lmlab.hf.config_reader import read_config
from lmlab.runs.load import Loaded, load
from lmlab.tokenizer import Tokenizer

# transformers computes rotary angles in float32, lmlab in float64. Late in a long context this
# alone changes a logit by more than 1e-5; a wrong weight or component changes it by more than 1e-2.
_TOLERANCE = 1e-3
_SAMPLE = (
    "It's 12 o'clock; we'll see 2024 of them.\r\n\t \u00a0x  \n\n naïve e\u0301 東京 😀\u200d🔥 "
    "\u0e01\u0e33 \u0661\u0662 \ufeff\ufffd don'T '' !?\u3000 end  "
)


def check_export(folder: Path, loaded: Loaded) -> list[str]:
    """Reload an exported folder, and compare logits and ids.

    Returns:
        The comparisons, one sentence each.

    Raises:
        DataError: logits or ids differ.
    """
    model, tokenizer = loaded
    generator = torch.Generator().manual_seed(0)
    count = min(model.context_length, 256)
    tokens = torch.randint(0, tokenizer.vocab_size, (1, count), generator=generator)
    text = _SAMPLE + "".join(tokenizer.special_tokens) + _SAMPLE
    with torch.inference_mode():
        logits = model(tokens)
        again = load(folder, device="cpu")
        _compare("lmlab", logits, again.model(tokens), 0.0)
        _compare_ids("lmlab", tokenizer, text, again.tokenizer.encode(text))
        lines = []
        if importlib.util.find_spec("transformers"):
            difference = _compare(
                "transformers", logits, _load_in_transformers(folder)(tokens).logits
            )
            version = importlib.metadata.version("transformers")
            lines.append(
                f"transformers {version}: largest logit difference {difference:.1e} "
                f"over {count} tokens"
            )
    if importlib.util.find_spec("tokenizers"):
        from tokenizers import Tokenizer as HFTokenizer

        reloaded = HFTokenizer.from_file(str(folder / "tokenizer.json"))
        _compare_ids(
            "tokenizers",
            tokenizer,
            text,
            reloaded.encode(text, add_special_tokens=False).ids,
        )
        lines.append(f"tokenizers {importlib.metadata.version('tokenizers')}: the same ids")
    return lines


def _load_in_transformers(folder: Path) -> Any:
    """Load the model in transformers, with lmlab's class imported directly where it is used."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    if read_config(folder)["model_type"] == "lmlab":
        from lmlab.hf.modeling_lmlab import LMLabForCausalLM

        return LMLabForCausalLM.from_pretrained(folder).eval()
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


def _compare(
    library: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = _TOLERANCE
) -> float:
    difference = float((ours - theirs).abs().max())
    if not difference <= tolerance * max(1.0, float(ours.abs().max())):
        raise DataError(
            f"{library} computes different logits from the export (largest difference "
            f"{difference:.3g}), so it was deleted"
        )
    return difference


def _compare_ids(library: str, tokenizer: Tokenizer, text: str, theirs: list[int]) -> None:
    if tokenizer.encode(text) != theirs:
        raise DataError(
            f"{library} produces different token ids with the exported tokenizer.json, so the "
            "export was deleted"
        )
