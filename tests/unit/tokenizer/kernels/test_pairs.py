"""Merging the bytes of one pre-token, short or long."""

from __future__ import annotations

import random
import time

import pytest
from random_merges import fast_of, trained

from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.pretoken_merging import merge_pretoken


def random_base64(size: int) -> str:
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(random.Random(1).choices(signs, k=size))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign",
    ["a", "東", "base64",
     *(pytest.param(sign, marks=pytest.mark.long) for sign in (" ", "1", "\n", "."))],
)  # fmt: skip
def test_ten_megabytes_of_one_pretoken(sign: str) -> None:
    size = 10_000_000
    text = random_base64(size) if sign == "base64" else sign * (size // len(sign.encode()))
    entries = [bytes([byte]) for byte in range(256)]
    merges: list[tuple[bytes, bytes]] = []
    one = sign.encode() if sign != "base64" else b"a"
    for start in range(1, len(one)):
        merges.append((one[:start], one[start : start + 1]))
    merges += [(one * times, one * times) for times in (1, 2, 4, 8)]
    merges += [(one, one * 2)]
    chance = random.Random(2)
    pool = [bytes([byte]) for byte in range(65, 123)]
    for _ in range(2000 if sign == "base64" else 0):
        pair = chance.choice(pool), chance.choice(pool)
        if pair not in merges:
            merges.append(pair)
            pool.append(pair[0] + pair[1])
    entries += dict.fromkeys(left + right for left, right in merges)
    slow = Tokenizer(dict(enumerate(dict.fromkeys(entries))), merges)
    quick = fast_of(slow)
    start = time.process_time()
    ids = quick.encode_array(text)
    seconds = time.process_time() - start
    assert seconds < 5, f"{seconds:.1f} s"
    assert sum(len(slow.vocab[index]) for index in ids[:1000].tolist()) > 0
    assert int(slow.token_byte_lengths[ids].sum()) == len(text.encode())
    short = text[:3000]
    assert quick.encode_array(short).tolist() == slow.encoder.reference.encode(short)


def test_pre_tokens_of_every_length_are_merged_as_in_python() -> None:
    """Lengths around 16 and 64, where the kernel changes its way of searching."""
    slow, chance = trained(), random.Random(5)
    merges = {
        (left, right): (rank, result)
        for rank, (left, right, result) in enumerate(
            zip(*(slow.ids.merge_ids[part::3] for part in range(3)), strict=True)
        )
    }
    for length in [*range(1, 140), 300, 1000]:
        word = "".join(chance.choices("abehilt", k=length))
        expected = merge_pretoken([slow.byte_ids[byte] for byte in word.encode()], merges)
        assert fast_of(slow).encode_array(word).tolist() == expected
