"""The sentence of the best learning rate."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path

from lmlab.study.best_rate import describe_best_rate
from lmlab.study.run_records import load_study
from lmlab.study.verdicts import final_losses


def test_the_best_rate_is_told_with_those_that_noise_does_not_distinguish(
    finished_study: Path,
) -> None:
    study = load_study(finished_study)
    assert study.manifest is not None
    sentence = describe_best_rate(study.manifest, study, "rms")
    assert "minimum of a parabola through the best searched rate and its neighbours" in sentence
    by_rate: dict[float, list[float]] = {}
    for record in study.records:
        if record.job.arm == "rms" and "search" in record.purposes and record.outcome.loss:
            by_rate.setdefault(record.job.lr or 0, []).append(record.outcome.loss)
    means = {rate: statistics.fmean(one) for rate, one in by_rate.items() if len(one) == 2}
    sd = statistics.stdev(final_losses(study.manifest, study.outcomes, "rms"))
    alike = {rate for rate in means if means[rate] - min(means.values()) <= 2 * sd / math.sqrt(1)}
    found = re.search(r"searched rates (.*): the means of their 2 seeds", sentence)
    told = set(map(float, re.findall(r"[\d.e-]+", found[1]))) if found else set()
    assert told == (alike if len(alike) > 1 else set())
