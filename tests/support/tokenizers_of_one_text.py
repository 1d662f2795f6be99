"""Tokenizers that encode the same text differently: other merges, other special tokens."""

from __future__ import annotations

from lmlab.tokenizer import Tokenizer

END = "<|endoftext|>"
BYTES = {byte: bytes([byte]) for byte in range(256)}
# "Once" is one token, and the end of a text is spelled with a merge across its start.
MERGES = [(b"O", b"n"), (b"c", b"e"), (b"On", b"ce"), (b"<", b"|"), (b"\xef", b"\xbb")]
VOCAB = BYTES | {256 + index: left + right for index, (left, right) in enumerate(MERGES)}
TOKENIZERS = {
    "bytes": Tokenizer(BYTES, [], [END]),
    "merges": Tokenizer(VOCAB, MERGES, [END]),
    "no_special": Tokenizer(VOCAB, MERGES, []),
    "other_special": Tokenizer(VOCAB, MERGES, ["<|user|>", "</s>"]),
    "many_special": Tokenizer(VOCAB, MERGES, [END, "<|user|>", "</s>", "Once upon"]),
    "prefix_special": Tokenizer(VOCAB, MERGES, ["<|end", END[:5]]),
    "other_pattern": Tokenizer(VOCAB, MERGES, [END], pattern=r"\w+|\W"),
}


def bytes_of_text(text: str) -> int:
    """UTF-8 bytes of the documents of a text."""
    return sum(len(document.encode()) for document in text.split(END))
