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
from lmlab.storage.fields import (
    COUNT,
    FINITE,
    NUMBER,
    TEXT,
    TEXTS,
    Fields,
    Kind,
    rows_with_fields,
    wrong_field,
)
from lmlab.storage.io import append_jsonl, has_partial_line, hash_json, scan_jsonl
from lmlab.storage.lock import Lock
from lmlab.study.ladders.compute_gain import as_factor
from lmlab.study.ladders.ladder_facts import LadderFacts, ladder_facts
from lmlab.study.ladders.loss_forecast import Forecast
from lmlab.study.ladders.scaling import forecast_rung
from lmlab.study.statistics import level_name
from lmlab.study.sweep_folder import SweepFolder

SEALS_FILE = "seals.jsonl"
_HASH, _PREVIOUS = "hash", "previous"
_FORECAST: Fields = dict.fromkeys(("value", "low", "high"), FINITE)


def _are_forecasts(value: Any) -> bool:
    return isinstance(value, dict) and not any(
        wrong_field(one, _FORECAST, tuple(_FORECAST)) for one in value.values()
    )


_FORECASTS = Kind(_are_forecasts, "forecasts, each with a finite value, low and high")
_RUNG = Kind(lambda value: COUNT.accepts(value) and value >= 1, "an integer of 1 or more")
_ALPHA = Kind(lambda value: NUMBER.accepts(value) and 0 < value < 1, "a number between 0 and 1")
_ROW: Fields = {
    "sweep": TEXT, "rung": _RUNG, "time": TEXT, "alpha": _ALPHA, "arms": TEXTS, "results": TEXT,
    "losses": _FORECASTS, "log_gains": _FORECASTS, "reason": TEXT, _PREVIOUS: TEXT, _HASH: TEXT,
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
            key: {
                arm: Forecast(*(each[name] for name in _FORECAST))
                for arm, each in content[key].items()
            }
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
    kept, num_damaged = _valid_rows(path)
    problems = []
    if num_damaged:
        problems.append(f"{num_damaged} of the rows of {path.name} cannot be read.")
    seals, previous = [], ""
    for row in kept:
        seal = Seal.from_dict(row)
        if row[_HASH] != _hash(row):
            problems.append(
                f"The forecast of rung {seal.rung} that is dated {seal.time} was changed in "
                f"{path.name} after it was sealed."
            )
        if row[_PREVIOUS] != previous:
            problems.append(
                f"A seal before that of {seal.time} was removed from {path.name}, or changed."
            )
        previous = row[_HASH]
        seals.append(seal)
    return SealFile(tuple(seals), tuple(problems))


def _valid_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the rows that can be read, and the number of the others."""
    rows, num_damaged = scan_jsonl(path)
    num_damaged += has_partial_line(path)  # rows are written whole
    kept = rows_with_fields(path, rows, _ROW, tuple(_ROW))
    return kept, num_damaged + len(rows) - len(kept)


def seal_highest_rung(
    folder: SweepFolder, manifest: Manifest, outcomes: Outcomes
) -> tuple[Seal, bool]:
    """Write the forecast of the highest rung, unless it has been written before.

    A ladder whose folder was moved has another id, and the same forecast.

    Args:
        folder: of the ladder's sweep.
        manifest: of the ladder.
        outcomes: results of its runs; all below the highest rung have finished.

    Returns:
        The seal, and whether it is new.
    """
    path = folder.study_folder / SEALS_FILE
    with Lock(folder.study_folder / "seals.lock"):
        earlier = read_seals(path).seals
        for known in earlier:
            if known.sweep == manifest.id:
                return known, False
        facts = ladder_facts(manifest, outcomes, folder.arm_costs(manifest))
        seal = forecast_highest(facts)
        for known in earlier:
            if dataclasses.replace(known, sweep=seal.sweep, time=seal.time) == seal:
                return known, False
        rows, _ = _valid_rows(path)
        row = seal.as_dict() | {_PREVIOUS: rows[-1][_HASH] if rows else ""}
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
    losses, log_gains = _finite(found.losses), _finite(found.log_gains)
    reason = "" if losses else "the losses of the rungs below leave it open"
    return dataclasses.replace(seal, losses=losses, log_gains=log_gains, reason=reason)


def _finite(forecasts: Mapping[str, Forecast]) -> dict[str, Forecast]:
    """Return the forecasts that say anything."""
    return {
        arm: one
        for arm, one in forecasts.items()
        if all(map(math.isfinite, (one.value, one.low, one.high)))
    }


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
        return "the compute of an arm does not grow from rung to rung, or a mean loss is 0"
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
        f"{arm} {as_factor(one.value):.3g} [{as_factor(one.low):.3g}, {as_factor(one.high):.3g}]"
        for arm, one in seal.log_gains.items()
    ]
    level = level_name(1 - seal.alpha)
    return f"rung {seal.rung}: forecast sealed; gains with {level} intervals: {', '.join(gains)}"
