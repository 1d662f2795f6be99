"""Bits per byte of one text have one denominator, whichever tokenizer encodes it."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest
from tokenizers_of_one_text import END, TOKENIZERS, bytes_of_text

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.evaluate import evaluate
from lmlab.nn.transformer import Transformer
from lmlab.runs.load import Loaded

TEXTS = {
    "plain": "Once upon a time",
    "documents": f"Once{END}Once upon a time\n{END}\n<|user|> hi</s>{END}",
    "starts with an end": f"{END}Once",
    "nearly an end": f"<|endoftext<|endoftext|{END}|><|endoftext|",
    "bom and line ends": "\ufeffOnce\r\nupon\r\n",
    "other letters": f"東京 é{END}😀e\u0301",
}


@functools.cache
def model(vocab_size: int) -> Transformer:
    sizes = ["context_length=8", "d_model=16", "num_layers=1", "num_heads=2"]
    overrides = [f"model.{size}" for size in [*sizes, f"vocab_size={vocab_size}"]]
    return build_model(resolve(compose(overrides))).eval()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_denominator_of_bits_per_byte_is_the_text(tmp_path: Path, name: str, text: str) -> None:
    """The bytes follow from the reported numbers; they are those of the file."""
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    tokenizer = TOKENIZERS[name]
    found = evaluate(Loaded(model(tokenizer.vocab_size), tokenizer), path)
    num_bytes = found.loss * found.num_tokens / math.log(2) / found.bits_per_byte
    assert num_bytes == pytest.approx(bytes_of_text(text), rel=1e-9)
