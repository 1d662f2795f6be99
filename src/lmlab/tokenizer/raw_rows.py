"""Reading rows by kernels, which write their documents where they are encoded."""

from __future__ import annotations

from array import array

from lmlab.records.documents import Documents, RawRows, Rows
from lmlab.tokenizer.buffers import Memory, address
from lmlab.tokenizer.kernels import row_results
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.library import Kernel

ROWS = "rows"  # the group of kernels


def space_of(raw: RawRows, marker: bytes) -> int:
    """How many bytes the documents of rows take at most, with a marker after each."""
    return raw.num_bytes + raw.num_rows * len(marker)


def read_raw(
    rows: Rows, marker: bytes, buffer: Memory, at: int, kernel: Kernel
) -> Documents | None:
    """Return the documents of rows as :attr:`~lmlab.records.documents.Rows.read` returns them.

    Args:
        rows: with ``raw``.
        marker: what follows each document.
        buffer: where their text is written, with the space that :func:`space_of` tells.
        at: where in the buffer.
        kernel: the one that ``rows.raw`` names.

    Returns:
        The documents, whose text is in ``buffer``; None if only Python can read these rows.
    """
    raw = rows.raw
    assert raw is not None
    assert len(buffer) >= at + space_of(raw, marker)
    lengths = array("q", bytes(8 * raw.num_rows))
    results = array("q", bytes(8 * row_results.RESULTS))
    if kernel(
        *raw.arguments, address(class_table()), address(marker), len(marker), buffer.address, at,
        address(lengths), address(results),
    ):  # fmt: skip
        return None
    count = results[row_results.DOCUMENTS]
    return Documents(
        buffer.view[at : results[row_results.END]],
        count,
        lambda: lengths[:count],
        rows.rows,
        results[row_results.EMPTY],
        results[row_results.NULL],
        has_bars=bool(results[row_results.BARS]),
    )
