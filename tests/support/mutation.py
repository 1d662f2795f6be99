"""One believable bug, and the tests that should notice it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A believable bug: in ``file`` below src/lmlab, ``old`` becomes ``new``."""

    name: str
    file: str
    old: str
    new: str
    tests: str
