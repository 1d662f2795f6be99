"""Parsers of byte counts and FLOP/s with units."""

from __future__ import annotations

import re

from lmlab.errors import ConfigError

_BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_FLOPS = {"": 1.0, "G": 1e9, "T": 1e12, "P": 1e15}
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?(?:[eE]\d+)?)\s*([A-Za-z/]*)")


def parse_bytes(key: str, text: str) -> int:
    """Parse ``80GB`` (10^9 bytes) or ``80 GiB`` (2^30). Raises :class:`ConfigError`."""
    found = _AMOUNT.fullmatch(text.strip())
    unit = "" if found is None else found[2].upper()
    if found is None or unit not in _BYTES or float(found[1]) <= 0:
        number = found[1] if found is not None and float(found[1]) > 0 else "80"
        raise ConfigError(
            f"{key}={text}: expected a number above 0 with a unit, one of B, kB, MB, GB, TB, KiB, "
            "MiB, GiB, TiB",
            f"write, for example, {key}={number}GB (1 GB is 10^9 bytes) or "
            f"{key}={number}GiB (2^30)",
        )
    return int(float(found[1]) * _BYTES[unit])


def parse_flops(key: str, text: str) -> float:
    """Parse ``312T``, ``19.5TFLOP/s`` or ``19.5e12`` in FLOP/s. Raises :class:`ConfigError`."""
    found = _AMOUNT.fullmatch(text.strip())
    unit = None if found is None else re.sub(r"(FLOPS?|FLOP/S)$", "", found[2].upper())
    if found is None or unit not in _FLOPS or float(found[1]) <= 0:
        raise ConfigError(
            f"{key}={text}: expected FLOP/s above 0",
            f"write for example {key}=19.5TFLOP/s or {key}=312e12",
        )
    return float(found[1]) * _FLOPS[unit]
