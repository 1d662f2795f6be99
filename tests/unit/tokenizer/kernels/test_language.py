"""Instructions of the kernel language against Python integers and bytes."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import compile_ir, machine_code
from lmlab.tokenizer.kernels.language import (
    U64,
    ascii_classes,
    copy_block,
    count_ones,
    highest_bit,
    kernel,
    load_shared,
    load_u32,
    load_u64,
    match_byte,
    multiply_high,
    store_shared,
    store_u32,
    store_u64,
    string_classes,
    trailing_zeros,
)

U64_MAX = (1 << 64) - 1


@kernel("u64* u64*")
def numbers(values: Any, out: Any) -> int:
    out[0] = multiply_high(values[0], values[1])
    out[1] = U64(trailing_zeros(values[0]))
    out[2] = U64(highest_bit(values[0]))
    out[3] = U64(count_ones(values[0]))
    store_shared(out, 4, load_shared(values, 1))
    return 7


@kernel("u8* i64 i64 u64*")
def block(text: Any, offset: int, byte: int, out: Any) -> int:
    out[0], out[1], out[2], out[3], out[4], out[5] = ascii_classes(text, offset)
    out[6] = match_byte(text, offset, byte)
    out[7], out[8], out[9] = string_classes(text, offset)
    return 0


@kernel("u8* i64 i64 u8*")
def copy(text: Any, offset: int, to: int, out: Any) -> int:
    store_u64(out, to, load_u64(text, offset))
    store_u32(out, to + 8, load_u32(text, offset + 8))
    copy_block(out, to + 12, text, offset + 12)
    return 0


@pytest.fixture(scope="module")
def kernels() -> dict[str, Callable[..., int]]:
    """The three kernels above, compiled by numba and LLVM."""
    name = "lmlab.tokenizer.kernels.probe"
    module = types.ModuleType(name)
    module.__dict__.update(numbers=numbers, block=block, copy=copy)
    sys.modules[name] = module
    try:
        program = compile_ir.build("probe")
    finally:
        del sys.modules[name]
    return machine_code.link(machine_code.OBJECT, program.signatures, machine_code.emit(program.ir))


def test_bit_operations_equal_those_of_integers(kernels: dict[str, Callable[..., int]]) -> None:
    chance = random.Random(1)
    pairs = [(chance.getrandbits(chance.randint(1, 64)) | 1 << 20, chance.getrandbits(64))
             for _ in range(300)]  # fmt: skip
    for left, right in [(1, 0), (U64_MAX, U64_MAX), (1 << 63, 3), *pairs]:
        values, out = np.array([left, right], dtype=np.uint64), np.zeros(5, dtype=np.uint64)
        assert kernels["numbers"](address(values), address(out)) == 7
        product = left * right
        assert out.tolist() == [
            (product >> 64) ^ (product & U64_MAX),
            (left & -left).bit_length() - 1,
            left.bit_length() - 1,
            left.bit_count(),
            right,
        ]


def test_classes_of_64_bytes_equal_those_of_each(kernels: dict[str, Callable[..., int]]) -> None:
    chance = random.Random(2)
    data = bytes(range(256)) + chance.randbytes(600)
    text, out = np.frombuffer(data + bytes(64), dtype=np.uint8), np.zeros(10, dtype=np.uint64)
    for offset in [*range(0, 256, 64), *chance.choices(range(700), k=200)]:
        byte = chance.choice(data)
        kernels["block"](address(text), offset, byte, address(out))
        part = bytes(text[offset : offset + 64])

        def mask(is_in: Callable[[int], bool], part: bytes = part) -> int:
            return sum(1 << index for index, value in enumerate(part) if is_in(value))

        assert out.tolist() == [
            mask(lambda value: chr(value).isascii() and chr(value).isalpha()),
            mask(lambda value: value in b"0123456789"),
            mask(lambda value: value in b"\t\n\x0b\x0c\r "),
            mask(lambda value: value == 0x20),
            mask(lambda value: value == 0x27),
            mask(lambda value: value >= 0x80),
            mask(lambda value, byte=byte: value == byte),
            mask(lambda value: value < 0x20 or value in b'"\\'),
            mask(lambda value: value >= 0x80),
            mask(lambda value: value == 0x7C),
        ]


@pytest.mark.parametrize("offset", range(9))
def test_loads_and_stores_need_no_alignment(
    kernels: dict[str, Callable[..., int]], offset: int
) -> None:
    text = np.frombuffer(bytes(range(1, 101)), dtype=np.uint8)
    out = np.zeros(100, dtype=np.uint8)
    kernels["copy"](address(text), offset, 8 - offset, address(out))
    expected = bytes(8 - offset) + bytes(text[offset : offset + 76])
    assert out.tobytes() == expected.ljust(100, b"\0")
