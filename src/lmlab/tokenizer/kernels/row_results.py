"""Results of the kernels of :mod:`lmlab.tokenizer.kernels.rows`, by their place in ``control``."""

from __future__ import annotations

# Where the documents end in the buffer; how many there are; how many empty ones and how many rows
# without one were left out; and whether a vertical bar, which ends of texts have, is in them.
END, DOCUMENTS, EMPTY, NULL, BARS = 0, 1, 2, 3, 4
RESULTS = 5
