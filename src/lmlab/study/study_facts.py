"""What a study's records establish, in one place: states, seeds, arms, swept settings.

Everything that shows a study (``lmlab.status``, the summary of a sweep, the page, Markdown and CSV)
takes these facts from here. The state of a single run is :meth:`RunFolder.status`, and
:attr:`RunRecord.state` where only records are left. Differences, their intervals and the confidence
of each are in :mod:`lmlab.study.statistics`; the seeds that a verdict pairs are in
:mod:`lmlab.study.verdicts`.
"""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from lmlab.design.run_keys import differing, typed_text, value_of
from lmlab.run_folder import STATUSES
from lmlab.study.run_records import RunRecord, Study

# Every state that a report counts, the finished ones first.
STATES = (
    "done",
    "stopped early",
    "diverged",
    *(s for s in STATUSES if s not in ("done", "diverged")),
    "missing",
)
_UNFINISHED = ("queued", "running", "preempted", "interrupted", "missing", "failed")
_NO_SETTING = re.compile(
    r"(study|arm|seed|seeds\..*|output_root|parent|reuse|reuse_across_code|logger(\..*)?|hydra([./].*)?"
    r"|samples(\..*)?|checkpoint(\..*)?|training\.(log|diagnose)_every)"
)


@dataclasses.dataclass(frozen=True)
class Group:
    """The runs of an arm at one learning rate.

    Attributes:
        arm: name of the arm.
        lr: peak learning rate; None where the optimizer has none or it is not known.
        records: its runs, each once.
    """

    arm: str
    lr: float | None
    records: list[RunRecord]

    @property
    def losses(self) -> list[float]:
        """The final losses of the runs that have one."""
        return [loss for record in self.records if (loss := record.outcome.loss) is not None]

    @property
    def mean(self) -> float | None:
        """Mean final loss; None without any."""
        return statistics.fmean(self.losses) if self.losses else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the final losses over seeds; None for fewer than two."""
        return statistics.stdev(self.losses) if len(self.losses) > 1 else None

    @property
    def states(self) -> str:
        """How many runs are in which state."""
        return describe_states(record.shown_state for record in self.records)


def groups(study: Study) -> list[Group]:
    """Return the runs by arm and learning rate, sorted by both; those of a ladder by rung first."""
    found: dict[tuple[str, float | None], list[RunRecord]] = {}
    for record in study.records:
        found.setdefault((record.job.arm, record.lr), []).append(record)
    ladder = None if study.manifest is None else study.manifest.ladder
    place = {} if ladder is None else {cell: rung for cell, (rung, _) in ladder.cells.items()}
    order = sorted(found, key=lambda key: (place.get(key[0], 0), key[0], key[1] or 0.0))
    return [Group(arm, lr, found[arm, lr]) for arm, lr in order]


def count_states(records: Iterable[RunRecord]) -> dict[str, int]:
    """Return the number of runs in each of :data:`STATES`, including those in none."""
    counts = Counter(record.shown_state for record in records)
    return {state: counts[state] for state in STATES}


def is_finished(records: Sequence[RunRecord]) -> bool:
    """Whether there are runs, and no state of any can change except by a rerun of the command."""
    return bool(records) and not any(record.state in _UNFINISHED for record in records)


def describe_states(states: Iterable[str]) -> str:
    """Return how many runs are in which state: ``4 done, 1 failed``."""
    counts = Counter(states)
    return ", ".join(f"{number} {state}" for state, number in counts.most_common()) or "no runs"


def swept_settings(study: Study) -> list[str]:
    """Return the settings in which the arms of a plain sweep, or of runs alone, differ.

    Names are those of the command line: a component is one setting. The result is empty for a
    study that declares a comparison, and where all runs have one configuration.
    """
    if study.manifest is not None and not study.manifest.is_plain:
        return []
    typed = _typed_overrides(study)
    if typed is not None:
        keys = dict.fromkeys(key for overrides in typed.values() for key in overrides)
        values = {key: {overrides.get(key) for overrides in typed.values()} for key in keys}
        return [key for key in keys if len(values[key]) > 1 and not _NO_SETTING.fullmatch(key)]
    arms = list(_settings_by_arm(study).values())
    keys = {}
    for settings in arms[1:]:
        shared = arms[0].keys() & settings.keys()
        left, right = (
            {key: value for key, value in one.items() if key in shared or not shared}
            for one in (arms[0], settings)
        )
        keys |= dict.fromkeys(differing(left, right))
    return list(keys)


def setting_values(study: Study, arm: str, keys: Sequence[str]) -> dict[str, str]:
    """Return the values of settings in an arm of a plain sweep, as they were typed if they were."""
    settings = _settings_by_arm(study).get(arm, {})
    typed = (_typed_overrides(study) or {}).get(arm, {})
    values = {}
    for key in keys:
        is_typed = key in typed and (
            key not in settings or _same_value(typed[key], typed_text(settings[key]))
        )
        values[key] = typed[key] if is_typed else value_of(settings, key)
    return values


def parse_value(text: str) -> Any:
    """Parse a value as a number or a truth value; anything else stays as it was typed."""
    try:
        number = int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
        return number if math.isfinite(number) else text
    except ValueError:
        pass
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool) or value is None else text


def _same_value(left: str, right: str) -> bool:
    """Whether two texts denote one value: ``1e-3`` and ``0.001``."""
    return bool(parse_value(left) == parse_value(right))


def _settings_by_arm(study: Study) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for record in study.records:
        if record.settings:
            found.setdefault(record.job.arm, record.settings)
    return found


def _typed_overrides(study: Study) -> dict[str, dict[str, str]] | None:
    """Return the overrides of each arm of a sweep; None where other runs belong to it too."""
    manifest = study.manifest
    if manifest is None or {record.job.arm for record in study.records} - set(manifest.names):
        return None
    found: dict[str, dict[str, str]] = {}
    for name, overrides in zip(manifest.names, manifest.overrides, strict=True):
        pairs = (override.partition("=") for override in overrides)
        found.setdefault(
            name, {key.lstrip("+").replace("/", "."): value for key, _, value in pairs}
        )
    return found
