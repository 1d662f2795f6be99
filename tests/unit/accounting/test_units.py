from __future__ import annotations

import pytest

from lmlab.accounting.units import parse_bytes, parse_flops
from lmlab.console.formatting import format_bytes, format_duration
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80GB", 80 * 10**9), ("80 GiB", 80 * 2**30), ("80gib", 80 * 2**30),
        ("1.5 TB", 15 * 10**11), ("512MiB", 2**29), (" 7 kB ", 7000), ("9B", 9), ("1e3MB", 10**9),
    ],
)  # fmt: skip
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes("memory", text) == size


@pytest.mark.parametrize("text", ["80", "80G", "GB", "", "-3GB", "0GB", "80 GB GB", "eighty GB"])
def test_odd_bytes_are_refused_with_the_units(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_bytes("memory", text)
    message = str(told.value)
    assert message.startswith(f"memory={text}: expected")
    assert "\n" not in message
    assert "GB (10^9 bytes)" in message and "GiB (2^30)" in message


def test_flops() -> None:
    assert parse_flops("peak", "19.5TFLOP/s") == 19.5e12
    assert parse_flops("peak", "312T") == parse_flops("peak", "312e12") == 312e12
    assert parse_flops("peak", "1PFLOPS") == 1e15
    for text in ("fast", "312 W", "0", ""):
        with pytest.raises(ConfigError, match="FLOP/s"):
            parse_flops("peak", text)


def test_shown_for_people() -> None:
    assert [format_bytes(n) for n in (0, 999, 1000, 8.508e9, 999.6e6, 15.3e12, 2.5e15)] == [
        "0 B", "999 B", "1 kB", "8.51 GB", "1 GB", "15.3 TB", "2,500 TB",
    ]  # fmt: skip
    assert format_bytes(26.172e9, ".2f") == "26.17 GB"
    assert [format_duration(s) for s in (0.26, 9.94, 9.96, 89, 600, 7200, 86400 * 6583.6)] == [
        "0.26 s", "9.9 s", "10 s", "89 s", "10 min", "2.0 h", "6,583.6 days",
    ]  # fmt: skip
