"""Check that an exported folder computes what the model does."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import torch

from lmlab.console.formatting import format_count
from lmlab.errors import DataError
from lmlab.hf.config_reader import read_config
from lmlab.runs.load import Loaded, load
from lmlab.tokenizer import Tokenizer

# transformers computes rotary angles in float32, lmlab in float64. Late in a long context this
# alone changes a logit by more than 1e-5; a wrong weight or component changes it by more than 1e-2.
_TOLERANCE = 1e-3
# Factors that are folded into weights round in other places than factors of their products.
_FOLDED = 1e-5
_PROMPTS = ("One day", "Once upon a time there was")
_NEW_TOKENS = 4
# What transformers raises for arguments that a model does not take.
_REJECTIONS = (TypeError, ValueError, RuntimeError, LookupError, AttributeError)
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
        folded = (model.query_factor, model.residual_factor, model.logit_factor) != (1, 1, 1)
        _compare("lmlab", logits, again.model(tokens), _FOLDED if folded else 0.0)
        _compare_ids("lmlab", tokenizer, text, again.tokenizer.encode(text))
        lines = []
        if importlib.util.find_spec("transformers"):
            theirs = _load_in_transformers(folder)
            difference = _compare("transformers", logits, theirs(tokens).logits)
            version = importlib.metadata.version("transformers")
            lines.append(
                f"transformers {version}: largest logit difference {difference:.1e} "
                f"over {format_count(count, 'token')}"
            )
            lines.append(f"transformers {version}: {_check_together(folder, loaded, theirs)}")
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


def _check_together(folder: Path, loaded: Loaded, theirs: Any) -> str:
    """Call the exported model with what the exported tokenizer returns, as users do.

    Returns:
        What agrees with lmlab.

    Raises:
        DataError: a call fails, or gives something else than lmlab.
    """
    model, tokenizer = loaded
    exported = _load_tokenizer(folder, theirs)
    length = max(1, model.context_length - _NEW_TOKENS)
    texts = [tokenizer.decode(tokenizer.encode(text)[:length]) for text in _PROMPTS]
    short = {"truncation": True, "max_length": model.context_length, "return_tensors": "pt"}
    try:
        for text in texts:
            inputs = exported(text, **short)
            ids = inputs["input_ids"]
            _compare_ids("transformers", tokenizer, text, ids[0].tolist())
            _compare("transformers", model(ids), theirs(**inputs).logits)
            if model.context_length > _NEW_TOKENS:
                found = theirs.generate(**inputs, max_new_tokens=_NEW_TOKENS, do_sample=False)
                _compare_greedy(model(found[:, :-1])[0], found[0], ids.shape[1])
        if exported.pad_token is None:
            return "the tokenizer's output runs in the model; it has no token for padding"
        batch = exported(texts, padding=True, **short)
        logits = theirs(**batch).logits
        for row, mask, found in zip(
            batch["input_ids"], batch["attention_mask"].bool(), logits, strict=True
        ):
            _compare("transformers", model(row[mask][None]), found[mask][None])
    except _REJECTIONS as error:
        raise DataError(
            "transformers refuses what the exported tokenizer returns, so the export was deleted "
            f"({type(error).__name__}: {error})"
        ) from error
    return "tokenizer, model, padded batch and generation agree with lmlab"


def _compare_greedy(logits_TV: torch.Tensor, tokens_T: torch.Tensor, num_prompt: int) -> None:
    """Check that each generated token is the most likely one, within the tolerance."""
    choices = logits_TV[num_prompt - 1 :]
    best = choices.max(dim=-1).values
    chosen = choices.gather(1, tokens_T[num_prompt:, None])[:, 0]
    _compare("generate of transformers", best, chosen)


def _load_tokenizer(folder: Path, model: Any) -> Any:
    """Load the tokenizer. Without a configuration, transformers 5 asks to run the model's code."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder, config=model.config)


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
