"""The sentences of a comparison: its result, what it cannot say, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from lmlab.console.formatting import format_count
from lmlab.design.comparison import METRICS, Comparison
from lmlab.design.fairness import Difference
from lmlab.run_folder import sessions_of
from lmlab.study.exploratory.group_verdict import GroupVerdict
from lmlab.study.exploratory.run_group import RunGroup
from lmlab.study.run_records import RunRecord
from lmlab.study.sequential_test import SIGN_FLIPS
from lmlab.study.statistics import INCONCLUSIVE, MIN_SEEDS_FOR_A_VERDICT, level_name
from lmlab.study.verdicts import lost_phrase, seeds_phrase

_TESTS = {"t": "the paired t test", SIGN_FLIPS: "the sign-flip test"}
_FIRST_NEW_SEED = 1


def headline(a: RunGroup, b: RunGroup, judged: GroupVerdict, design: Comparison) -> list[str]:
    """State the difference, the exploratory verdict, and what would be needed for more."""
    verdict, unit = judged.verdict, METRICS[design.metric]
    found, lines = verdict.comparison, []
    if found is not None and found.seeds > 0:
        side = "lower" if found.difference < 0 else "higher"
        on = (
            f"with {seeds_phrase(verdict.pairs)}, in pairs"
            if judged.is_paired
            else f"by the means of {len(b.records)} and {format_count(len(a.records), 'run')}"
        )
        lines.append(
            f"The final validation loss of {b.title} is {abs(found.difference):.4f} {unit} {side} "
            f"than that of {a.title}, {on}."
        )
    if found is not None and found.confidence is None and verdict.label == INCONCLUSIVE:
        lines += _too_few(a, b)
    else:
        interval = ""
        if found is not None and found.confidence is not None:
            interval = (
                f" ({level_name(found.confidence)} interval {found.low:+.4f} to {found.high:+.4f}, "
                f"p = {found.p:.2g})"
            )
        lines.append(f"Exploratory verdict: {verdict.shown_label}{verdict.detail}{interval}.")
    if design.metric == "bits_per_byte":
        lines.append(
            "The tokenizers differ, so the runs are compared by bits per byte: losses per token of "
            "different tokenizers have no common unit."
        )
    return lines


def _too_few(a: RunGroup, b: RunGroup) -> Iterator[str]:
    """State what one run of a side cannot say."""
    one = [group.name for group in (a, b) if len(group.records) == 1]
    who = "One run each" if len(one) == 2 else f"One run of {one[0]}" if one else "One pair of runs"
    yield (
        f"Exploratory verdict: none. {who} cannot tell a difference from noise: runs of one "
        "configuration with other seeds differ, too, and how much is not known here. Neither "
        f"better, worse nor no difference can be said. Train {MIN_SEEDS_FOR_A_VERDICT} seeds or "
        "more of both, and compare again."
    )


def further_commands(a: RunGroup, b: RunGroup) -> list[str]:
    """Return the commands that train further seeds of both groups, as far as they are known."""
    number = max(MIN_SEEDS_FOR_A_VERDICT, len(a.records), len(b.records))
    wanted = {*a.seeds, *b.seeds}
    candidate = min(wanted)
    while len(wanted) < number:
        candidate += 1
        wanted.add(candidate)
    commands = (_command(group.records[0], sorted(wanted - set(group.seeds))) for group in (a, b))
    return [command for command in commands if command]


def _command(record: RunRecord, seeds: Sequence[int]) -> str:
    """Return the command of a run with other seeds; empty where it was part of a sweep."""
    first = next(iter(sessions_of(record.meta)), {})
    words = [str(word) for word in first.get("command") or []]
    if "lmlab.train" not in words or "-m" in words[words.index("lmlab.train") + 1 :] or not seeds:
        return ""
    rest = words[words.index("lmlab.train") + 1 :]
    kept = [word for word in rest if not word.startswith(("seed=", "experiment="))]
    if any(word.startswith("experiment=") for word in rest):
        return ""
    listed = f"seed={','.join(map(str, seeds))}"
    return shlex.join(["python", "-m", "lmlab.train", "-m", *kept, listed])


def method(a: RunGroup, b: RunGroup, judged: GroupVerdict, design: Comparison) -> list[str]:
    """State which runs are compared, by which test, and which are left out."""
    lines, verdict = [], judged.verdict
    if judged.is_paired:
        test = _TESTS[design.test]
        lines.append(
            f"Runs with equal seeds are paired ({seeds_phrase(judged.shared)}): they have the same "
            f"initial weights where their shapes are equal, and the same order of batches. The "
            f"differences are judged by {test}, two-sided."
        )
    else:
        shared = f"share {format_count(len(judged.shared), 'seed')}" if judged.shared else ""
        lines.append(
            f"The groups {shared or 'share no seeds'}, so their runs are compared unpaired, by "
            "Welch's two-sided t test. Runs with equal seeds would often show smaller differences."
        )
    found, fewest = verdict.comparison, MIN_SEEDS_FOR_A_VERDICT
    is_t = design.test != SIGN_FLIPS or not judged.is_paired
    if is_t and found is not None and 1 < found.seeds < fewest:
        lines.append(
            f"With fewer than {fewest} runs on a side, the result rests on the assumption that the "
            "noise of the seeds is normal, which so few runs cannot check."
        )
    if verdict.unpaired:
        lines.append(
            f"Left out, because only one group has a result: {seeds_phrase(verdict.unpaired)}."
        )
    if verdict.baseline_lost:
        lines.append(
            f"{a.name} {lost_phrase(verdict.baseline_lost)}; these seeds are not compared, so "
            "there is no verdict on the others, which are a selection."
        )
    for group in (a, b):
        for folder, state in group.unfinished:
            lines.append(f"{group.name}: {folder} is {state} and does not count.")
    margin = f"lies within {design.margin:g} {METRICS[design.metric]} of zero"
    lines.append(
        f'"No difference" would mean that the interval {margin} (margin={design.margin:g}).'
        if design.margin
        else 'No margin is set, so no verdict can be "no difference"; margin=X sets one.'
    )
    return lines


def cautions(differences: Sequence[Difference]) -> list[str]:
    """State what a comparison that nobody planned does not show."""
    lines = [
        "Exploratory: the runs, their number and this comparison may have been chosen after some "
        "results were known, and other comparisons may have been made. No level accounts for that. "
        "A study decides all of this beforehand (design=comparison).",
        "Each group has its configured learning rate. At its own best rate, the other group could "
        "be the better one; a study searches for these rates.",
    ]
    return lines + [
        f"Not equal: {one.description}."
        + (" The losses are then no measure of the same thing." if one.quantity in _HARD else "")
        for one in differences
    ]


_HARD = ("context", "evaluation")
