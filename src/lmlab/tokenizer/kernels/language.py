"""The language of kernels: pointer types, decorators, and a few machine instructions.

Imports numba, so only kernel modules import this, and only to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core import types as numba_types
from numba.extending import intrinsic

types: Any = numba_types
# Conversions; int() would keep an unsigned type.
U64: Any = np.uint64
I64: Any = np.int64
ZERO = np.uint64(0)
ONE = np.uint64(1)
ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

# The types in a kernel's signature, and numba's names for them.
TYPES: dict[str, Any] = {
    "i64": types.int64,
    "u8*": types.CPointer(types.uint8),
    "u16*": types.CPointer(types.uint16),
    "i32*": types.CPointer(types.int32),
    "u32*": types.CPointer(types.uint32),
    "i64*": types.CPointer(types.int64),
    "u64*": types.CPointer(types.uint64),
}

BYTES_PER_BLOCK = 64


def kernel(signature: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Mark a function as an entry point of its group; it returns an int64.

    Args:
        signature: types of the arguments, from :data:`TYPES`, separated by spaces.
    """

    def mark(function: Callable[..., int]) -> Callable[..., int]:
        function.__lmlab_kernel__ = signature.split()  # type: ignore[attr-defined]
        return function

    return mark


def inline(function: Callable[..., Any]) -> Any:
    """Let kernels call a function; LLVM inlines it where that pays."""
    return numba.njit(function, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def always_inline(function: Callable[..., Any]) -> Any:
    """Like :func:`inline`, for functions that run too often to be called."""
    return numba.njit(
        function,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        forceinline=True,
    )


def _pointer(builder: Any, base: Any, index: Any, to: Any) -> Any:
    target = builder.gep(base, [index], source_etype=ir.IntType(8))
    return builder.bitcast(target, to.as_pointer())


def _loader(bits: int, result: Any) -> Any:
    @intrinsic
    def load(typingctx: Any, base: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.IntType(bits)
            target = _pointer(builder, arguments[0], arguments[1], kind)
            return builder.load(target, typ=kind, align=1)

        return result(base, types.int64), generate

    return load


def _storer(bits: int, value_type: Any) -> Any:
    @intrinsic
    def store(typingctx: Any, base: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            target = _pointer(builder, arguments[0], arguments[1], ir.IntType(bits))
            builder.store(arguments[2], target, align=1)
            return context.get_dummy_value()

        return types.void(base, types.int64, value_type), generate

    return store


# Unaligned, at a byte offset from any pointer: load_u64(base, offset), store_u64(base, offset, x).
load_u64 = _loader(64, types.uint64)
load_u32 = _loader(32, types.uint32)
store_u64 = _storer(64, types.uint64)
store_u32 = _storer(32, types.uint32)


@intrinsic
def load_shared(typingctx: Any, base: Any, index: Any) -> Any:
    """``base[index]`` of uint64 that other threads may be writing: the old or the new value."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = builder.gep(arguments[0], [arguments[1]], source_etype=ir.IntType(64))
        return builder.load_atomic(target, "monotonic", 8, typ=ir.IntType(64))

    return types.uint64(base, types.int64), generate


@intrinsic
def store_shared(typingctx: Any, base: Any, index: Any, value: Any) -> Any:
    """``base[index] = value`` of uint64 that other threads may be reading."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = builder.gep(arguments[0], [arguments[1]], source_etype=ir.IntType(64))
        builder.store_atomic(arguments[2], target, "monotonic", 8)
        return context.get_dummy_value()

    return types.void(base, types.int64, types.uint64), generate


@intrinsic
def trailing_zeros(typingctx: Any, mask: Any) -> Any:
    """Position of the lowest set bit of a uint64, as an int64; 64 for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def highest_bit(typingctx: Any, mask: Any) -> Any:
    """Position of the highest set bit of a uint64, as an int64; undefined for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.sub(ir.Constant(ir.IntType(64), 63), zeros)

    return types.int64(types.uint64), generate


@intrinsic
def count_ones(typingctx: Any, mask: Any) -> Any:
    """Number of set bits of a uint64, as an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def prefetch(typingctx: Any, base: Any, index: Any) -> Any:
    """Prefetch the cache line at a byte offset from a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        target = builder.gep(arguments[0], [arguments[1]], source_etype=ir.IntType(8))
        pointer = target.type
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, word, word, word]),
            "llvm.prefetch.p0",
        )
        builder.call(function, [target, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(base, types.int64), generate


@intrinsic
def multiply_high(typingctx: Any, left: Any, right: Any) -> Any:
    """Upper half xor lower half of the 128-bit product: a good hash mixer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide, narrow = ir.IntType(128), ir.IntType(64)
        product = builder.mul(*(builder.zext(value, wide) for value in arguments))
        upper = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), narrow)
        return builder.xor(upper, builder.trunc(product, narrow))

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def match_byte(typingctx: Any, base: Any, index: Any, byte: Any) -> Any:
    """Which of the 64 bytes from an offset equal ``byte`` (int64): a uint64 mask, lowest first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _block(builder, arguments[0], arguments[1])
        wanted = builder.trunc(arguments[2], ir.IntType(8))
        return _bits(builder, builder.icmp_unsigned("==", block, _splat(builder, wanted)))

    return types.uint64(base, types.int64, types.int64), generate


@intrinsic
def string_classes(typingctx: Any, base: Any, index: Any) -> Any:
    """Of the 64 bytes from an offset, in a string of JSON, three uint64 masks.

    Bytes that copying stops at (quotes, backslashes, control characters), non-ASCII bytes, and
    vertical bars.
    """
    kind = types.UniTuple(types.uint64, 3)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _block(builder, arguments[0], arguments[1])
        quotes, slashes, bars = (
            builder.icmp_unsigned("==", block, _constant(ord(byte))) for byte in '"\\|'
        )
        control = builder.icmp_unsigned("<", block, _constant(0x20))
        stops = builder.or_(builder.or_(quotes, slashes), control)
        high = builder.icmp_signed("<", block, _constant(0))
        masks = [_bits(builder, mask) for mask in (stops, high, bars)]
        return context.make_tuple(builder, kind, masks)

    return kind(base, types.int64), generate


@intrinsic
def copy_block(typingctx: Any, target: Any, at: Any, source: Any, index: Any) -> Any:
    """Copy 64 bytes from an offset of ``source`` to one of ``target``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, at, source, index = arguments
        builder.store(_block(builder, source, index), _pointer(builder, to, at, _VECTOR), align=1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), generate


@intrinsic
def ascii_classes(typingctx: Any, base: Any, index: Any) -> Any:
    """Classes of the 64 bytes from an offset, as six uint64 masks.

    ASCII letters, ASCII digits, ASCII white space, spaces, apostrophes, and non-ASCII bytes.
    """
    kind = types.UniTuple(types.uint64, 6)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _block(builder, arguments[0], arguments[1])

        def same(byte: int) -> Any:
            return builder.icmp_unsigned("==", block, _constant(byte))

        def within(value: Any, first: int, count: int) -> Any:
            moved = builder.sub(value, _constant(first))
            return builder.icmp_unsigned("<", moved, _constant(count))

        letters = within(builder.or_(block, _constant(0x20)), ord("a"), 26)
        blank = same(0x20)
        space = builder.or_(blank, within(block, 0x09, 5))
        high = builder.icmp_signed("<", block, _constant(0))
        masks = (letters, within(block, ord("0"), 10), space, blank, same(0x27), high)
        return context.make_tuple(builder, kind, [_bits(builder, mask) for mask in masks])

    return kind(base, types.int64), generate


_VECTOR = ir.VectorType(ir.IntType(8), BYTES_PER_BLOCK)


def _block(builder: Any, base: Any, index: Any) -> Any:
    return builder.load(_pointer(builder, base, index, _VECTOR), typ=_VECTOR, align=1)


def _constant(byte: int) -> Any:
    return ir.Constant(_VECTOR, [ir.Constant(ir.IntType(8), byte)] * BYTES_PER_BLOCK)


def _splat(builder: Any, byte: Any) -> Any:
    word = ir.IntType(32)
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), byte, word(0))
    zeros = ir.Constant(ir.VectorType(word, BYTES_PER_BLOCK), [word(0)] * BYTES_PER_BLOCK)
    return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _bits(builder: Any, truths: Any) -> Any:
    return builder.bitcast(truths, ir.IntType(64))
