"""Seals: forecasts of the highest rung of a ladder, written before any of its runs starts.

``outputs/<study>/seals.jsonl`` holds one row per seal. A row carries the hash of its content and of
the row before, so that a forecast which was rewritten, or a seal which was removed, is noticed. A
seal is never rewritten: a ladder with a further rung or arm adds one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.design.job import Outcomes
from lmlab.design.manifest import Manifest
from lmlab.run_folder import utc_now
from lmlab.storage.fields import COUNT, NUMBER, OBJECT, TEXT, TEXTS, Fields, rows_with_fields
from lmlab.storage.io import append_jsonl, has_partial_line, hash_json, scan_jsonl
from lmlab.storage.lock import Lock
from lmlab.study.ladder_facts import LadderFacts, ladder_facts
from lmlab.study.loss_forecast import Forecast
from lmlab.study.scaling import forecast_rung
from lmlab.study.sweep_folder import SEALS_FILE, SweepFolder

_HASH, _PREVIOUS = "hash", "previous"
_ROW: Fields = {
    "sweep": TEXT, "rung": COUNT, "time": TEXT, "alpha": NUMBER, "arms": TEXTS, "results": TEXT,
    "losses": OBJECT, "log_gains": OBJECT, "reason": TEXT, _PREVIOUS: TEXT, _HASH: TEXT,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Seal:
    """Forecasts of a rung, made from the rungs below.

    Attributes:
        sweep: id of the ladder that made it.
        rung: the rung, counted from 1.
        time: when it was written, in UTC.
        alpha: probability that an interval misses.
        arms: arms of the ladder.
        results: hash of the results that it rests on.
        losses: mean loss of each arm.
        log_gains: natural logarithm of each arm's gain.
        reason: why there are no forecasts; empty where there are.
    """

    sweep: str
    rung: int
    time: str
    alpha: float
    arms: tuple[str, ...]
    results: str
    losses: Mapping[str, Forecast]
    log_gains: Mapping[str, Forecast]
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self) | {"arms": list(self.arms)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Seal:
        """Invert :meth:`as_dict`; further keys are ignored."""
        names = [field.name for field in dataclasses.fields(cls)]
        forecasts = {
            key: {arm: Forecast(**each) for arm, each in content[key].items()}
            for key in ("losses", "log_gains")
        }
        kept = {name: content[name] for name in names}
        return cls(**{**kept, "arms": tuple(content["arms"]), **forecasts})


@dataclasses.dataclass(frozen=True)
class SealFile:
    """The seals of a study, and what is wrong with the file.

    Attributes:
        seals: in the order in which they were written.
        problems: sentences about rows that were changed or removed.
    """

    seals: tuple[Seal, ...]
    problems: tuple[str, ...]


def seals_file(folder: Path) -> Path:
    """Return the file of seals of a study.

    Args:
        folder: of the study, of one of its sweeps, or of its compact records.
    """
    is_sweep = folder.resolve().parent.name == "sweeps"
    return (folder.resolve().parents[1] if is_sweep else folder) / SEALS_FILE


def read_seals(path: Path) -> SealFile:
    """Read the seals of a study, and check that no row was changed or removed.

    Args:
        path: the file; a missing one holds no seal.
    """
    rows, num_damaged = scan_jsonl(path)
    num_damaged += has_partial_line(path)  # rows are written whole
    kept = rows_with_fields(path, rows, _ROW, tuple(_ROW))
    problems = []
    if num_damaged or len(kept) < len(rows):
        number = num_damaged + len(rows) - len(kept)
        problems.append(f"{number} of the rows of {path.name} cannot be read.")
    seals, previous = [], ""
    for row in kept:
        seal = Seal.from_dict(row)
        if row[_HASH] != _hash(row):
            problems.append(
                f"The forecast of rung {seal.rung} that is dated {seal.time} was changed after it "
                "was sealed."
            )
        if row[_PREVIOUS] != previous:
            problems.append(f"A seal before that of {seal.time} was removed or changed.")
        previous = row[_HASH]
        seals.append(seal)
    return SealFile(tuple(seals), tuple(problems))


def seal_highest_rung(
    folder: SweepFolder, manifest: Manifest, outcomes: Outcomes
) -> tuple[Seal, bool]:
    """Write the forecast of the highest rung, unless this ladder has done so before.

    Args:
        folder: of the ladder's sweep.
        manifest: of the ladder.
        outcomes: results of its runs; all below the highest rung have finished.

    Returns:
        The seal, and whether it is new.
    """
    path = folder.study_folder / SEALS_FILE
    with Lock(folder.study_folder / "seals.lock"):
        for known in read_seals(path).seals:
            if known.sweep == manifest.id:
                return known, False
        facts = ladder_facts(manifest, outcomes, folder.arm_costs(manifest))
        seal = forecast_highest(facts)
        rows, _ = scan_jsonl(path)
        row = seal.as_dict() | {_PREVIOUS: rows[-1].get(_HASH, "") if rows else ""}
        append_jsonl(path, row | {_HASH: _hash(row)})
    return seal, True


def forecast_highest(facts: LadderFacts) -> Seal:
    """Return the forecast of a ladder's highest rung from the results of the rungs below."""
    ladder, manifest = facts.ladder, facts.manifest
    below = len(ladder.rungs) - 1
    seal = Seal(
        sweep=manifest.id,
        rung=below + 1,
        time=utc_now(),
        alpha=ladder.alpha,
        arms=tuple(ladder.judged_arms),
        results=hash_of_results(facts, below, ladder.judged_arms),
        losses={},
        log_gains={},
    )
    result = facts.analyse(below)
    if result is None:
        return dataclasses.replace(seal, reason=_why_not(facts, below))
    cost = {arm: facts.flops[arm][below] for arm in result.ladder.arms}
    factor = cost[ladder.baseline] / result.ladder.cost[ladder.baseline][-1]
    if factor > ladder.max_factor:
        reason = (
            f"the highest rung has {factor:.3g} times the compute of the rung below, beyond "
            f"design.max_factor={ladder.max_factor:g}"
        )
        return dataclasses.replace(seal, reason=reason)
    found = forecast_rung(result, cost, ladder.seeds(below), ladder.alpha, ladder.max_factor)
    return dataclasses.replace(seal, losses=found.losses, log_gains=found.log_gains)


def hash_of_results(facts: LadderFacts, num_rungs: int, arms: Collection[str]) -> str:
    """Return the hash of the losses of the lowest rungs.

    Args:
        facts: of the ladder.
        num_rungs: number of rungs, from the lowest.
        arms: names of arms; those that the ladder does not have count as without losses.
    """
    rows = {arm: facts.cells[arm][:num_rungs] if arm in facts.cells else [] for arm in arms}
    return hash_json(
        {
            arm: [sorted((str(seed), loss) for seed, loss in cell.losses.items()) for cell in row]
            for arm, row in sorted(rows.items())
        }
    )


def _why_not(facts: LadderFacts, num_rungs: int) -> str:
    lost = facts.lost_arms(num_rungs)
    baseline = facts.ladder.baseline
    arms = [baseline] if baseline in lost else list(lost)
    if not arms:
        return "the compute of an arm does not grow from rung to rung"
    lacking = "; ".join(
        f"{arm} on {', '.join(f'r{rung + 1}' for rung in lost[arm])}" for arm in arms
    )
    return f"fewer than two runs that trained, neither diverged nor failed to learn: {lacking}"


def _hash(row: Mapping[str, Any]) -> str:
    return hash_json({key: value for key, value in row.items() if key != _HASH})


def started_before(seal: Seal, starts: Mapping[str, str]) -> list[str]:
    """Return the runs of the sealed rung that started before the seal was written.

    Args:
        seal: of the rung.
        starts: for each run of the rung, when it first started, in UTC.
    """
    return sorted(name for name, time in starts.items() if time and time < seal.time)


def describe_seal(seal: Seal) -> str:
    """Return what was sealed, in one line."""
    if seal.reason:
        return f"rung {seal.rung}: no forecast: {seal.reason}"
    gains: Sequence[str] = [
        f"{arm} {math.exp(one.value):.3g} [{math.exp(one.low):.3g}, {math.exp(one.high):.3g}]"
        for arm, one in seal.log_gains.items()
    ]
    level = f"{100 * (1 - seal.alpha):g}%"
    return f"rung {seal.rung}: forecast sealed; gains with {level} intervals: {', '.join(gains)}"
