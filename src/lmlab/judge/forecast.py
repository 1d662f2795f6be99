"""What a trial would take: its level, its pairs by simulation, and the runs that it may train."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmlab.console.formatting import format_count, format_duration
from lmlab.judge.idea import Arms
from lmlab.judge.stream import Stream, Trial
from lmlab.run_folder import RunFolder
from lmlab.study.idea_rule import ANSWERS, decide_all
from lmlab.sweep.plan import make_plan

_STUDIES = 2000  # simulated trials; the shares have errors of about one percent
_LEAST_PAIRS = 3  # of a trial whose spread counts


def pair_sd(stream: Stream) -> tuple[float, str]:
    """Return the standard deviation of a pair, and where it comes from.

    It is pooled over the trials of the ledger; before there are any, that of two independent runs.
    """
    known = [trial.improvements for trial in stream.trials]
    variances = [
        (statistics.variance(gains), len(gains) - 1) for gains in known
        if len(gains) >= _LEAST_PAIRS
    ]  # fmt: skip
    if variances:
        freedom = sum(weight for _, weight in variances)
        pooled = math.fsum(variance * weight for variance, weight in variances) / freedom
        return math.sqrt(pooled), f"over {format_count(len(variances), 'idea')} of the ledger"
    return math.sqrt(2) * stream.terms.expected_sd, "assumed: sqrt(2) times scale.expected_sd"


def describe_plan(stream: Stream, trial: Trial, arms: Arms) -> Iterator[str]:
    """Yield lines about what a trial would take; nothing is trained."""
    terms = stream.terms
    yield (
        f"{trial.name}: idea {trial.number} of {terms.name}, against {stream.standing.name}; kept "
        f"if its evidence reaches {1 / trial.level:,.0f} (level {trial.level:.2g})"
    )
    sd, source = pair_sd(stream)
    chance = np.random.default_rng(0)
    for factor in (0, 1, 2, 4):
        effect = factor * terms.margin
        gains = chance.normal(effect, sd, (_STUDIES, terms.max_seeds))
        answers, pairs = decide_all(gains, np.full(_STUDIES, trial.level), terms.rule)
        shares = ", ".join(f"{name} {np.mean(answers == name):.0%}" for name in ANSWERS)
        yield (
            f"if it improves the {terms.metric} by {effect:g}: {shares}; "
            f"{pairs.mean():.1f} pairs on average"
        )
    yield f"a pair varies by {sd:.4g} {terms.unit} ({source})"
    most = make_plan(arms.manifest(terms.max_seeds).comparison, 2, None, 1).least_runs // 2
    search = most - terms.max_seeds
    done = [one for one in stream.trials if one.seeds == trial.seeds and one.pairs]
    baseline = terms.max_seeds - max((len(one.pairs) for one in done), default=0)
    seconds = run_seconds(stream, Path(arms.configs[0].output_root))
    yield (
        f"runs: at most {most - len(trial.pairs)} of the idea"
        + (f", {search} of them to search for its learning rate" if search else "")
        + f"; at most {baseline + (0 if done else search)} of the baseline, which other ideas "
        "share" + ("" if seconds is None else f"; {format_duration(seconds)} per run so far")
    )


def run_seconds(stream: Stream, output_root: Path) -> float | None:
    """Return the seconds that a run of the ledger took, in the median; None if unknown."""
    states = (RunFolder(output_root / run).status() for run in sorted(stream.runs))
    known = [float(state["seconds"]) for state in states if state.get("seconds")]
    return statistics.median(known) if known else None
