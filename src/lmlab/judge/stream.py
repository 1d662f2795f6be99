"""The state of a stream of ideas, which its rows alone decide."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmlab.errors import DataError
from lmlab.judge.ledger import FORMAT_VERSION, Row
from lmlab.judge.terms import FRESH, Terms
from lmlab.study.e_process import confidence_sequence
from lmlab.study.idea_rule import KEEP, Decision, decide

START, IDEA, PAIRS, ANSWER = "start", "idea", "pairs", "answer"
CLOSED, FINAL = "closed", "final"
BASELINE_ARM = "baseline"


@dataclasses.dataclass(frozen=True)
class Pair:
    """The final metric of baseline and idea with one seed; None for an idea that diverged."""

    seed: int
    baseline: float
    idea: float | None


@dataclasses.dataclass
class Trial:
    """An idea that was tried against one baseline.

    Attributes:
        number: place in the stream, from 1; it decides the level.
        name: of the idea.
        overrides: of the idea, on top of the baseline.
        settings: hash of the resolved configuration and of the code that it names.
        baseline: position of the baseline in :attr:`Stream.baselines`.
        level: probability of a false keep that this trial is granted.
        seeds: that judge it, in order.
        pairs: so far.
        runs: number of runs trained for it so far, runs of the baseline included.
        answer: ``keep``, ``drop`` or ``cannot tell``; None while it is open.
        reason: of the answer, as a sentence.
        rates: peak learning rates of baseline and idea, once known.
        is_untrainable: whether it diverged at every rate of its search.
        withdrawn: whether the baseline moved before it was answered.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    settings: str
    baseline: int
    level: float
    seeds: list[int]
    pairs: list[Pair] = dataclasses.field(default_factory=list)
    runs: int = 0
    answer: str | None = None
    reason: str = ""
    rates: tuple[float | None, float | None] = (None, None)
    is_untrainable: bool = False
    withdrawn: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it waits for further pairs."""
        return self.answer is None and not self.withdrawn

    @property
    def improvements(self) -> list[float]:
        """Baseline minus idea, of the pairs before one whose idea diverged."""
        found = []
        for pair in self.pairs:
            if pair.idea is None:
                break
            found.append(pair.baseline - pair.idea)
        return found

    def interval(self, level: float) -> list[float] | None:
        """Return the ends of the confidence sequence of the mean improvement; None if unknown.

        Args:
            level: probability that the mean is outside at any time.
        """
        if len(self.improvements) < 2:
            return None
        low, high = confidence_sequence(np.array(self.improvements), level)
        return [float(low[-1]), float(high[-1])] if math.isfinite(low[-1]) else None

    def decision(self, terms: Terms) -> Decision:
        """Return where the trial stands by its pairs."""
        return decide(np.array(self.improvements), self.level, terms.rule)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A baseline that stood, or stands.

    Attributes:
        name: ``baseline`` for the first, else that of the idea that became it.
        overrides: complete ones.
        settings: hash of the resolved configuration and of the code that it names.
    """

    name: str
    overrides: tuple[str, ...]
    settings: str


@dataclasses.dataclass
class Stream:
    """A stream of ideas.

    Attributes:
        terms: what holds for all ideas.
        baselines: all that stood, the standing one last.
        trials: in the order in which they began.
        runs: folders of all runs so far, below the output root.
        is_closed: whether the last word has begun, after which no idea is tried.
        final: the row of the last word; None before it.
    """

    terms: Terms
    baselines: list[Baseline]
    trials: list[Trial] = dataclasses.field(default_factory=list)
    runs: set[str] = dataclasses.field(default_factory=set)
    is_closed: bool = False
    final: Row | None = None

    @property
    def standing(self) -> Baseline:
        """The baseline that ideas are tried against."""
        return self.baselines[-1]

    @property
    def keeps(self) -> int:
        """Number of ideas kept so far."""
        return sum(trial.answer == KEEP for trial in self.trials)

    def next_level(self) -> float:
        """Return the level of the next idea."""
        return self.terms.level_of(len(self.trials) + 1, self.keeps)

    def next_seeds(self) -> list[int]:
        """Return the seeds of the next idea.

        Blocks of seeds are numbered in the order of their use: one for each baseline that stood,
        or one for each trial. The last word uses one that no trial has.
        """
        block = len(self.trials) if self.terms.seeds == FRESH else len(self.baselines) - 1
        return self.terms.seeds_of_block(block)

    def final_seeds(self) -> list[int]:
        """Return seeds that no trial has used, for the last word."""
        is_fresh = self.terms.seeds == FRESH
        return self.terms.seeds_of_block(len(self.trials) if is_fresh else len(self.baselines))

    def find(self, settings: str) -> Trial | None:
        """Return the trial of these settings against the standing baseline; None if none."""
        now = len(self.baselines) - 1
        found = [t for t in self.trials if t.settings == settings and t.baseline == now]
        return found[-1] if found else None

    def named(self, name: str) -> list[Trial]:
        """Return the trials of a name, against any baseline."""
        return [trial for trial in self.trials if trial.name == name]


def read_stream(rows: Sequence[Row]) -> Stream:
    """Return the stream that the rows of a ledger describe.

    Raises:
        DataError: the rows are those of another version.
    """
    first = rows[0]
    if first["kind"] != START or first.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"ledger: format_version={first.get('format_version')}: expected {FORMAT_VERSION}",
            "use the version of lmlab that started it",
        )
    terms = Terms.from_dict(first["terms"])
    stream = Stream(terms, [Baseline(BASELINE_ARM, terms.baseline, first["settings"])])
    for row in rows[1:]:
        _APPLY[row["kind"]](stream, row)
    return stream


def _begin(stream: Stream, row: Row) -> None:
    stream.trials.append(
        Trial(
            row["number"], row["name"], tuple(row["overrides"]), row["settings"],
            row["baseline"], row["level"], list(row["seeds"]),
        )
    )  # fmt: skip


def _add_pairs(stream: Stream, row: Row) -> None:
    trial = stream.trials[row["number"] - 1]
    trial.pairs = [Pair(**pair) for pair in row["pairs"]]
    trial.runs += row["new_runs"]
    stream.runs |= set(row["runs"])
    trial.rates = (row["rates"][0], row["rates"][1])
    trial.is_untrainable = row["is_untrainable"]


def _answer(stream: Stream, row: Row) -> None:
    trial = stream.trials[row["number"] - 1]
    trial.answer, trial.reason = row["answer"], row["reason"]
    if row["becomes_baseline"]:
        overrides = (*stream.standing.overrides, *trial.overrides)
        stream.baselines.append(Baseline(trial.name, overrides, trial.settings))
        for other in stream.trials:
            other.withdrawn = other.withdrawn or other.answer is None


def _close(stream: Stream, row: Row) -> None:
    del row
    stream.is_closed = True


def _finish(stream: Stream, row: Row) -> None:
    stream.final = row


_APPLY: dict[str, Any] = {
    IDEA: _begin, PAIRS: _add_pairs, ANSWER: _answer, CLOSED: _close, FINAL: _finish
}  # fmt: skip
