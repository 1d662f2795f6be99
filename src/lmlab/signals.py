"""Signals that come before a run can listen to them."""

from __future__ import annotations

import dataclasses
from types import FrameType


@dataclasses.dataclass
class EarlySignal:
    """A handler for the time before a run listens; what it keeps is then the run's to follow.

    Attributes:
        stops: whether a run stops at the signal; else it saves and goes on.
        has_come: whether the signal came before the run listened.
    """

    stops: bool = True
    has_come: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.has_come = True
