"""Headers of llm.c that do not fit their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from token_forms import llmc_header

from lmlab.data.token_formats.llmc import header_of, open_llmc
from lmlab.errors import DataError


@pytest.mark.parametrize(
    ("header", "message"),
    [(llmc_header(20240520, 1, 4), "expected 4 ids by its header, found 3"),
     (llmc_header(20240520, 2, 3), "expected version 1 of llm.c's token files, found 2"),
     (llmc_header(20240801, 1, 3), "expected version 7"),
     (llmc_header(20240520, 1, 3)[:1000], "is incomplete")],
)  # fmt: skip
def test_a_header_that_does_not_fit_is_refused(header: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(header + (b"" if len(header) < 1024 else np.arange(3, dtype="u2").tobytes()))
    with pytest.raises(DataError, match=message):
        open_llmc("data.train=a.bin", path)


@pytest.mark.parametrize(("dtype", "start"), [("uint16", (20240520, 1)), ("uint32", (20240801, 7))])
def test_headers_are_those_of_the_program(dtype: str, start: tuple[int, int]) -> None:
    assert header_of(dtype, 12) == llmc_header(*start, 12)
