"""How long single updates are timed, and what their times say."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Sequence

from lmlab.build.workload import RunWorkload

MIN_SECONDS = 0.15  # of timed steps, for every run
RUN_FRACTION = 1 / 30  # of a run's steps are timed where that takes longer,
MAX_SECONDS = 4.0  # but not longer than this
MAX_STEPS, MIN_STEPS = 30, 2
LONGEST_SECONDS = 30.0  # of the timed steps that decide the length of a run
WARM_UP_FRACTION = 1 / 3  # of these steps do not count: clocks and caches settle
_PARTS = 5  # whose means are compared


@dataclasses.dataclass(frozen=True)
class StepTiming:
    """When enough updates are timed.

    Attributes:
        least_steps: time at least so many,
        least_seconds: and for at least so long;
        most_steps: but not more than so many,
        most_seconds: and not for longer than this.
        log_every: updates per time that is read. On a GPU, reading one waits for the device.
        is_long: whether the first times are a warm-up, and the mean of the others counts. For a
            few steps, the median counts.
    """

    least_steps: int
    least_seconds: float
    most_steps: int = MAX_STEPS
    most_seconds: float = MAX_SECONDS
    log_every: int = 1
    is_long: bool = False

    @classmethod
    def short(cls, workload: RunWorkload) -> StepTiming:
        """Return the timing that predicts a run."""
        return cls(max(MIN_STEPS, round(RUN_FRACTION * workload.steps)), MIN_SECONDS)

    @classmethod
    def long(cls, workload: RunWorkload, budget_seconds: float, device_type: str) -> StepTiming:
        """Return the timing that decides how many updates fit ``budget_seconds``."""
        seconds = min(max(1.0, RUN_FRACTION * budget_seconds), LONGEST_SECONDS)
        return cls(
            least_steps=MIN_STEPS, least_seconds=seconds, most_steps=10**9,
            most_seconds=2 * LONGEST_SECONDS,
            log_every=1 if device_type == "cpu" else workload.log_every, is_long=True,
        )  # fmt: skip

    def is_enough(self, ends: Sequence[float]) -> bool:
        """Whether the times at which updates ended are enough."""
        steps, seconds = self.log_every * (len(ends) - 1), ends[-1] - ends[0]
        if steps >= self.least_steps and seconds >= self.least_seconds:
            return True
        return steps >= self.most_steps or (len(ends) > 1 and seconds >= self.most_seconds)

    def step_seconds(self, ends: Sequence[float]) -> list[float]:
        """Return the seconds per update between the times that count."""
        seconds = [(after - before) / self.log_every for before, after in itertools.pairwise(ends)]
        if not self.is_long:
            return seconds
        warm_up = ends[0] + WARM_UP_FRACTION * (ends[-1] - ends[0])
        num_warm = sum(end <= warm_up for end in ends[1:])
        return seconds[num_warm:]

    def typical(self, seconds: Sequence[float]) -> float:
        """Return the seconds per update that :meth:`step_seconds` amount to."""
        return statistics.fmean(seconds) if self.is_long else statistics.median(seconds)


def spread(seconds: Sequence[float]) -> float | None:
    """Return the standard deviation between parts of a measurement, relative to its mean."""
    size = len(seconds) // _PARTS
    if size < 1:
        return None
    means = [statistics.fmean(seconds[i * size : (i + 1) * size]) for i in range(_PARTS)]
    return statistics.stdev(means) / statistics.fmean(means)
