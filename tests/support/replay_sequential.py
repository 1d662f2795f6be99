"""Recorded runs of a study, replayed in the order of their seeds as if it had been sequential.

    python tests/support/replay_sequential.py experiments/ablations --save FILE

Each arm gets its recorded runs one seed at a time. Where it is still undecided after the last of
them, the table gives the interval of the sequential study and the seeds that it would need.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from lmlab.design.manifest import Manifest
from lmlab.study.run_records import Study, load_study
from lmlab.study.statistics import level_name
from lmlab.study.verdicts import Verdict, judge, undecided_arms
from lmlab.study.waves import Waves, follow_waves, granted_outcomes

DECIDED = ("better", "worse", "no difference")


@dataclasses.dataclass(frozen=True)
class Replay:
    """A recorded study and its replay.

    Attributes:
        manifest: the study as a sequential one.
        waves: how far its waves came.
        recorded: verdict of each arm as recorded.
        replayed: verdict of each arm where the replay left it.
        recorded_runs: number of recorded runs.
        fixed_runs: number of those that the study would require today by its own rule.
        runs: number of those that the replay took, the search included.
        missing_runs: number of further runs of the wave at which the record ends.
    """

    manifest: Manifest
    waves: Waves
    recorded: dict[str, Verdict]
    replayed: dict[str, Verdict]
    recorded_runs: int
    fixed_runs: int
    runs: int
    missing_runs: int

    @property
    def reversed_arms(self) -> list[str]:
        """Arms with two different verdicts, neither of which is open."""
        return [
            arm
            for arm, verdict in self.replayed.items()
            if verdict.label in DECIDED
            and self.recorded[arm].label in DECIDED
            and verdict.label != self.recorded[arm].label
        ]


def replay(study: Study, max_seeds: int | None = None, futility: float = 0.05) -> Replay:
    """Replay a recorded study of one size, with a baseline.

    Args:
        study: the study with its records.
        max_seeds: ``design.max_seeds`` of the replay.
        futility: ``design.futility`` of the replay.
    """
    manifest = study.manifest
    assert manifest is not None and manifest.comparison is not None
    design = dataclasses.replace(
        manifest.comparison, look="sequential", max_seeds=max_seeds, test="t", futility=futility
    )
    sequential = dataclasses.replace(manifest, comparison=design)
    waves = follow_waves(sequential, study.outcomes)
    known = granted_outcomes(sequential, study.outcomes, waves.seeds)
    required = sequential.required_jobs(known, granted=waves.seeds)
    return Replay(
        sequential,
        waves,
        {verdict.arm: verdict for verdict in judge(manifest, study.outcomes)},
        {verdict.arm: verdict for verdict in judge(sequential, known)},
        len(study.outcomes),
        len(manifest.required_jobs(study.outcomes, undecided_arms(manifest, study.outcomes))),
        sum(job in study.outcomes for job in required),
        sum(job not in study.outcomes for job in required),
    )


def arm_table(found: Replay) -> list[list[str]]:
    """Return a row per arm: both verdicts, seeds, interval, and the seeds that are missing."""
    rows = [["arm", "recorded", "seeds", "sequential", "seeds", "end", "difference", "interval",
             "more seeds needed"]]  # fmt: skip
    for arm, verdict in found.replayed.items():
        recorded, one = found.recorded[arm], verdict.comparison
        number = sum(loss is not None for loss in verdict.losses.values())
        interval, difference, missing = "", "", ""
        if one is not None and one.confidence is not None:
            difference = f"{one.difference:+.4f}"
            interval = f"{level_name(one.confidence)}: [{one.low:+.4f}, {one.high:+.4f}]"
            if verdict.label == "inconclusive":
                missing = "" if one.more_seeds is None else f"about {one.more_seeds}"
        of_record = sum(loss is not None for loss in recorded.losses.values())
        rows.append(
            [arm, recorded.label, str(of_record), verdict.label, str(number), found.waves.ends[arm],
             difference, interval, missing]
        )  # fmt: skip
    return rows


def report(folder: Path) -> str:
    """Return the replays of a recorded study as Markdown."""
    study = load_study(folder)
    texts = [f"# python tests/support/replay_sequential.py experiments/{study.name}\n"]
    for max_seeds, futility in ((None, 0.05), (None, 0.0), (8, 0.05)):
        found = replay(study, max_seeds, futility)
        design = found.manifest.comparison
        assert design is not None
        rows = arm_table(found)
        lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in rows[1:]]
        texts.append(
            f"## {design.min_seeds} to {design.most_seeds} seeds, futility {futility:g}\n\n"
            f"{found.runs} recorded runs, and {found.missing_runs} to come in the wave at which "
            f"the record ends; by its own rule, the study requires {found.fixed_runs} of its "
            f"{found.recorded_runs} recorded runs today. "
            f"Verdicts reversed: "
            f"{', '.join(found.reversed_arms) or 'none'}.\n\n" + "\n".join(lines) + "\n"
        )
    return "\n".join(texts)


def main() -> None:
    """Print the replays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a recorded study")
    parser.add_argument("--save", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    text = report(arguments.folder)
    print(text)
    if arguments.save:
        arguments.save.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
