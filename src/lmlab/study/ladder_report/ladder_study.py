"""A ladder as its report needs it: its records, and what they establish by FLOPs and seconds."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from lmlab.design.ladder import Ladder, cell_name
from lmlab.design.ladder_runs import JUDGED
from lmlab.study.ladders.ladder_facts import Cell, LadderFacts, ladder_facts
from lmlab.study.ladders.scaling import LadderResult
from lmlab.study.ladders.seals import SealFile, read_seals, seals_file
from lmlab.study.run_records import RunRecord, Study


@dataclasses.dataclass(frozen=True)
class LadderStudy:
    """A ladder, read from its records.

    Attributes:
        study: its records.
        facts: its losses by arm and rung.
    """

    study: Study
    facts: LadderFacts

    @classmethod
    def of(cls, study: Study) -> LadderStudy:
        """Return the ladder of a study that declares one."""
        assert study.manifest is not None
        return cls(study, ladder_facts(study.manifest, study.outcomes, study.arm_costs))

    @property
    def ladder(self) -> Ladder:
        """The declaration."""
        return self.facts.ladder

    @property
    def train_tokens(self) -> int | None:
        """Tokens of the training text; None before any run has recorded them."""
        known = (record.meta.get("train_tokens") for record in self.study.records)
        return next((number for number in known if number), None)

    @functools.cached_property
    def num_analysed(self) -> int:
        """Number of rungs, from the lowest, on which the statistics rest.

        These are the complete ones, below the first on which the baseline lacks two losses.
        """
        complete = self.facts.num_complete
        lost = self.facts.lost_arms(complete).get(self.ladder.baseline, [])
        return min([complete, *lost])

    @functools.cached_property
    def result(self) -> LadderResult | None:
        """What the ladder shows by training FLOPs; None where it shows nothing yet."""
        return self.facts.analyse(self.num_analysed)

    @functools.cached_property
    def timed(self) -> LadderResult | None:
        """The same by wall-clock seconds."""
        return self.facts.analyse(self.num_analysed, self.seconds)

    @functools.cached_property
    def lost_arms(self) -> dict[str, list[int]]:
        """Arms without statistics, with the rungs on which they lack two losses."""
        return self.facts.lost_arms(self.num_analysed)

    @functools.cached_property
    def records(self) -> dict[str, list[RunRecord]]:
        """The runs that judge a cell, by its name."""
        rates = {
            cell_name(cell.rung, cell.arm): cell.rate
            for cells in self.facts.cells.values()
            for cell in cells
        }
        found: dict[str, list[RunRecord]] = {name: [] for name in rates}
        for record in self.study.records:
            job = record.job
            if JUDGED in record.purposes and job.lr == rates.get(job.arm):
                found[job.arm].append(record)
        return found

    @functools.cached_property
    def seconds(self) -> Mapping[str, list[float]]:
        """Mean training seconds of the judged runs, by arm and rung; NaN without any."""
        return {
            arm: [self._seconds(cell) for cell in cells] for arm, cells in self.facts.cells.items()
        }

    def _seconds(self, cell: Cell) -> float:
        records = self.records[cell_name(cell.rung, cell.arm)]
        known = [record.reached("seconds") for record in records if record.state == "done"]
        found = [seconds for seconds in known if seconds]
        return statistics.fmean(found) if found else math.nan

    @functools.cached_property
    def seals(self) -> SealFile:
        """The sealed forecasts of the study."""
        return read_seals(seals_file(self.study.folder))


def rung_study(study: Study, rung: int) -> Study:
    """Return one rung of a ladder, counted from 0, as a study of one size."""
    manifest = study.manifest
    assert manifest is not None and manifest.ladder is not None
    cells = {cell for cell, (number, _) in manifest.ladder.cells.items() if number == rung}
    return dataclasses.replace(
        study,
        manifest=manifest.rungs[rung],
        records=[record for record in study.records if record.job.arm in cells],
        arm_costs={cell: costs for cell, costs in study.arm_costs.items() if cell in cells},
    )


def num_sharing(records: Sequence[RunRecord], all_records: Sequence[RunRecord]) -> int:
    """Return how many runs were trained while another run of the study was.

    Args:
        records: the runs in question.
        all_records: all runs of the study.
    """
    spans = sorted(
        (span, id(record)) for record in all_records if (span := _span(record)) is not None
    )
    sharing = set()
    for index, ((_, end), one) in enumerate(spans):
        later = itertools.takewhile(lambda other, end=end: other[0][0] < end, spans[index + 1 :])  # type: ignore[misc]
        for _, other in later:
            sharing |= {one, other}
    return sum(id(record) in sharing for record in records)


def _span(record: RunRecord) -> tuple[float, float] | None:
    """Return when a run started and ended, in seconds; None where it is not known.

    Times are kept in whole seconds, so that runs which follow each other may seem to overlap by
    one; a second is taken off the end.
    """
    ended = record.status.get("time")
    if not record.started or not ended:
        return None
    start, end = (
        datetime.datetime.fromisoformat(str(time)).timestamp() for time in (record.started, ended)
    )
    return (start, end - 1) if end - 1 > start else None
