from __future__ import annotations

import pytest

from lmlab.accounting.units import parse_bytes, parse_flops
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80GB", 80 * 10**9), ("80 GiB", 80 * 2**30), ("80gib", 80 * 2**30),
        ("1.5 TB", 15 * 10**11), ("512MiB", 2**29), (" 7 kB ", 7000), ("9B", 9), ("1e3MB", 10**9),
    ],
)  # fmt: skip
def test_byte_counts_are_parsed(text: str, size: int) -> None:
    assert parse_bytes("memory", text) == size


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("80", "80"), ("80G", "80"), ("7.5 gigs", "7.5"), ("80 GB GB", "80"), ("GB", "80"),
        ("", "80"), ("-3GB", "80"), ("0GB", "80"), ("eighty GB", "80"),
    ],
)  # fmt: skip
def test_byte_counts_without_a_valid_unit_are_rejected(text: str, suggested: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_bytes("memory", text)
    assert error.value.message == (
        f"memory={text}: expected a number above 0 with a unit, one of B, kB, MB, GB, TB, KiB, "
        "MiB, GiB, TiB"
    )
    assert error.value.help == (
        f"write, for example, memory={suggested}GB (1 GB is 10^9 bytes) or "
        f"memory={suggested}GiB (2^30)"
    )


def test_flops_are_parsed() -> None:
    assert parse_flops("peak", "19.5TFLOP/s") == 19.5e12
    assert parse_flops("peak", "312T") == parse_flops("peak", "312e12") == 312e12
    assert parse_flops("peak", "1PFLOPS") == 1e15
    for text in ("fast", "312 W", "0", ""):
        with pytest.raises(ConfigError) as error:
            parse_flops("peak", text)
        assert error.value.message == f"peak={text}: expected FLOP/s above 0"
        assert error.value.help == "write for example peak=19.5TFLOP/s or peak=312e12"
