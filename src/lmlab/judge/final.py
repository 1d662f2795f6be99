"""The last word: the standing baseline against the first one, on a text that decided nothing.

Both are trained on seeds that no trial has used, at rates that were found on tuning seeds, and
evaluated once on the held-out text. Nothing was selected by these runs or this text, so that an
ordinary paired t test holds (Student 1908, Biometrika 6(1)).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError, DataError
from lmlab.judge.admission import check_open
from lmlab.judge.held_out import check_unused, read_final_text
from lmlab.judge.idea import Arms, compose_run
from lmlab.judge.ledger import Ledger, Row
from lmlab.judge.pins import check_files
from lmlab.judge.stream import BASELINE_ARM, CLOSED, FINAL, Stream
from lmlab.judge.trial import say
from lmlab.judge.wave import Launcher, run_wave, submitted_sweep
from lmlab.records.text import Text
from lmlab.study.t_test import Pairs

STANDING_ARM = "standing"
HOLDS, DOES_NOT_HOLD, OPEN = "holds", "does not hold", "cannot tell"


@dataclasses.dataclass(frozen=True)
class FinalRun:
    """A finished run of the last word: its arm, its seed and its folder."""

    arm: str
    seed: int
    folder: Path


def check_final(stream: Stream, ledger: Ledger) -> None:
    """Check that the last word can be spoken.

    Raises:
        ConfigError: see :func:`lmlab.judge.admission.check_open`; or the text is another one now.
        DataError: the text cannot be read.
    """
    check_open(stream)
    terms = stream.terms
    assert terms.final_text is not None
    check_files(terms)
    _, digest, _ = read_final_text(terms.final_text)
    if digest != terms.pins["final text"]:
        raise ConfigError(
            f"{terms.final_text}: its content has changed since the ledger was started",
            "restore the file",
        )
    check_unused(digest, ledger, terms.final_text)


def compose_final(stream: Stream) -> Arms:
    """Compose the first and the standing baseline with seeds that no trial has used."""
    terms, seed = stream.terms, stream.final_seeds()[0]
    both = (terms.baseline, stream.standing.overrides)
    names = (BASELINE_ARM, STANDING_ARM)
    first, last = (compose_run(terms, own, seed, arm) for arm, own in zip(names, both, strict=True))
    return Arms(terms, names, both, (first, last), ())


def speak(ledger: Ledger, stream: Stream, launcher: Launcher) -> int:
    """Train both baselines, evaluate them on the held-out text, and record the result.

    From the first run on, no idea is tried any more. The held-out text is read when all runs are
    finished, and the result is recorded before it is shown.

    Args:
        ledger: whose lock this process holds.
        stream: that :func:`check_final` has accepted.
        launcher: trains runs.

    Returns:
        The exit code of the runs; 0 if the result is in the ledger.
    """
    terms = stream.terms
    assert terms.final_text is not None
    manifest = compose_final(stream).manifest(terms.max_seeds)
    if not stream.is_closed:
        ledger.append(CLOSED, {"seeds": stream.final_seeds()})
    code = run_wave(manifest, launcher)
    if code:
        return code
    text, _, _ = read_final_text(terms.final_text)
    losses = measure(final_runs(manifest), text, terms.metric)
    ledger.append(FINAL, conclude(losses, terms.level))
    return 0


def final_runs(manifest: Manifest) -> list[FinalRun]:
    """Return the finished runs of the last word.

    Raises:
        DataError: one has diverged, so that its pair has no difference.
    """
    found = []
    for entry in submitted_sweep(manifest).entries():
        if "judged" not in entry.purposes:
            continue
        if entry.run.status().get("status") != "done":
            raise DataError(
                f"{entry.run.path}: {entry.run.status().get('status')}; expected all runs of the "
                "last word to be done",
                "the last word cannot be spoken: a baseline that diverges is no result",
            )
        found.append(FinalRun(entry.job.arm, entry.job.seed, entry.run.path))
    return found


def measure(runs: Sequence[FinalRun], text: Text, metric: str) -> dict[int, dict[str, float]]:
    """Return the metric of the last weights of each run on a text, by seed and arm."""
    # Importing torch takes seconds.
    from lmlab.evaluate import evaluate
    from lmlab.runs.load import load

    losses: dict[int, dict[str, float]] = {}
    for number, run in enumerate(runs, 1):
        result = evaluate(load(run.folder, checkpoint="last"), text)
        losses.setdefault(run.seed, {})[run.arm] = float(getattr(result, metric))
        say(f"held-out text: {number} of {len(runs)} runs")
    return losses


def conclude(losses: dict[int, dict[str, float]], level: float) -> Row:
    """Return the row of the last word.

    Args:
        losses: by seed and arm.
        level: of the two-sided interval.
    """
    seeds = sorted(losses)
    gains = [losses[seed][BASELINE_ARM] - losses[seed][STANDING_ARM] for seed in seeds]
    estimate = Pairs(gains).estimate()
    low, high = estimate.interval(level)
    word = HOLDS if low > 0 else DOES_NOT_HOLD if high < 0 else OPEN
    pairs: list[dict[str, Any]] = [{"seed": seed, **losses[seed]} for seed in seeds]
    return {
        "answer": word, "improvement": estimate.difference, "interval": [low, high],
        "p": estimate.p, "pairs": pairs,
    }  # fmt: skip
