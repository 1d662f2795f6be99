"""The trial of an idea: wave after wave of pairs until it is answered, each recorded at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lmlab.console.formatting import format_count, format_duration
from lmlab.errors import ConfigError, DataError
from lmlab.judge.idea import Arms, compose_arms
from lmlab.judge.ledger import Ledger
from lmlab.judge.pins import check_files
from lmlab.judge.stream import ANSWER, IDEA, PAIRS, Stream, Trial, read_stream
from lmlab.judge.wave import Launcher, WaveResult, read_wave, run_wave
from lmlab.study.idea_rule import CANNOT_TELL, DROP, KEEP, Decision
from lmlab.sweep.run_data_cache import RunDataCache

# No level is reached by fewer: the evidence of three pairs is at most 47, that of two at most 6.
FIRST_PAIRS = 3


def say(text: str) -> None:
    """Print a line about the progress of a trial."""
    print(text, file=sys.stderr, flush=True)


def prepare(stream: Stream, name: str, overrides: Sequence[str]) -> tuple[Trial, Arms | None]:
    """Return the trial of an idea, new or known, and its arms; None for one that is answered.

    A new trial gets the next place in the stream, with its level and its seeds.

    Args:
        stream: the stream.
        name: of the idea.
        overrides: of the idea.

    Raises:
        ConfigError: the idea is refused; see :mod:`lmlab.judge.guards`, :mod:`lmlab.judge.pins`.
        DataError: a text cannot be used.
    """
    check_files(stream.terms)
    arms = compose_arms(stream, name, overrides, stream.next_seeds())
    trial = stream.find(arms.settings)
    if trial is not None and not trial.is_open:
        return trial, None
    if trial is not None:
        arms = compose_arms(stream, trial.name, trial.overrides, trial.seeds)
    else:
        same = [one for one in stream.named(name) if one.baseline == len(stream.baselines) - 1]
        if same:
            raise ConfigError(
                f"name={name}: the ledger has another idea of this name, "
                f"[{', '.join(same[-1].overrides)}]",
                "choose another name",
            )
        trial = Trial(
            len(stream.trials) + 1, name, tuple(overrides), arms.settings,
            len(stream.baselines) - 1, stream.next_level(), stream.next_seeds(),
        )  # fmt: skip
    arms.check_data(RunDataCache())
    return trial, arms


def begin(ledger: Ledger, stream: Stream, trial: Trial) -> None:
    """Record a trial that is new; from here on its level is spent."""
    if trial.number > len(stream.trials):
        fields = ("number", "name", "overrides", "settings", "baseline", "level", "seeds")
        ledger.append(IDEA, {field: getattr(trial, field) for field in fields})


def try_idea(
    ledger: Ledger, trial: Trial, arms: Arms, launcher: Launcher, wave: int = 1
) -> tuple[int, Trial]:
    """Add pairs until the idea is answered, and record each wave and the answer.

    Args:
        ledger: whose lock this process holds, and which holds the trial.
        trial: the trial.
        arms: of the trial.
        launcher: trains runs.
        wave: pairs that are added at a time, after the first three. It changes no answer.

    Returns:
        The exit code, and the trial: answered if the code is 0.
    """
    terms = arms.terms
    while True:
        stream = read_stream(ledger.rows())
        trial = stream.trials[trial.number - 1]
        decision = trial.decision(terms)
        answer, reason = decision.answer, ""
        if answer is not None:
            reason = describe_decision(decision, trial, arms)
        elif reason := _failure(trial):
            answer = DROP
        if answer is not None:
            _record_answer(ledger, stream, trial, answer, reason, decision)
            return 0, read_stream(ledger.rows()).trials[trial.number - 1]
        pairs = max(FIRST_PAIRS, len(trial.pairs) + wave)
        manifest = arms.manifest(min(pairs, terms.max_seeds))
        code = run_wave(manifest, launcher)
        result = read_wave(manifest)
        has_progress = len(result.pairs) > len(trial.pairs) or result.is_untrainable
        if has_progress:
            _record_pairs(ledger, stream, trial, result)
        if code:
            return code, trial
        if not has_progress:
            raise DataError(
                f"{terms.study}: no further pair could be completed: no learning rate trains the "
                "baseline, or records of runs are missing",
                "start a ledger with a baseline that trains, or rerun",
            )
        say(_progress(read_stream(ledger.rows()).trials[trial.number - 1], arms, result))


def give_up(ledger: Ledger, stream: Stream, name: str) -> Trial:
    """Drop an open idea that cannot be finished, for example because its runs fail.

    Its level stays spent, so that no idea is started anew when its first pairs disappoint.

    Args:
        ledger: whose lock this process holds.
        stream: of the ledger.
        name: of the idea.

    Raises:
        ConfigError: no idea of this name is open.
    """
    waiting = [trial for trial in stream.trials if trial.is_open]
    found = [trial for trial in waiting if trial.name == name]
    if not found:
        names = ", ".join(trial.name for trial in waiting) or "none is"
        raise ConfigError(
            f"name={name}: expected an open idea: {names}", "judge show lists all ideas"
        )
    trial = found[-1]
    decision = trial.decision(stream.terms)
    _record_answer(ledger, stream, trial, DROP, "Given up before an answer.", decision)
    return read_stream(ledger.rows()).trials[trial.number - 1]


def _failure(trial: Trial) -> str:
    """Say that the idea does not train, which needs no further evidence; empty where it does."""
    if trial.is_untrainable:
        return "It diverged at every learning rate tried."
    if len(trial.improvements) < len(trial.pairs):
        seed = next(pair.seed for pair in trial.pairs if pair.idea is None)
        return f"It diverged with seed {seed}, with which the baseline trains."
    return ""


def _record_pairs(ledger: Ledger, stream: Stream, trial: Trial, result: WaveResult) -> None:
    new = [run for run in result.runs if run not in stream.runs]
    ledger.append(
        PAIRS,
        {
            "number": trial.number,
            "name": trial.name,
            "pairs": [vars(pair) for pair in result.pairs],
            "rates": list(result.rates),
            "is_untrainable": result.is_untrainable,
            "new_runs": len(new),
            "runs": new,
        },
    )


def _record_answer(
    ledger: Ledger, stream: Stream, trial: Trial, answer: str, reason: str, decision: Decision
) -> None:
    ledger.append(
        ANSWER,
        {
            "number": trial.number,
            "name": trial.name,
            "answer": answer,
            "reason": reason,
            "becomes_baseline": answer == KEEP and stream.terms.moves,
            "pairs": decision.pairs,
            "level": trial.level,
            "keep_evidence": decision.keep_evidence,
            "drop_evidence": decision.drop_evidence,
            "interval": trial.interval(stream.terms.level),
        },
    )


def describe_decision(decision: Decision, trial: Trial, arms: Arms) -> str:
    """Return the reason of an answer as a sentence."""
    terms = arms.terms
    pairs = format_count(decision.pairs, "pair")
    needed = 1 / trial.level
    if decision.answer == KEEP:
        return (
            f"Evidence of {decision.keep_evidence:,.0f} that it improves the {terms.metric}, "
            f"of {needed:,.0f} needed, from {pairs}."
        )
    if decision.answer == DROP:
        return (
            f"Evidence of {decision.drop_evidence:,.0f} that it improves the {terms.metric} by "
            f"less than the margin of {terms.margin:g} {terms.unit}, of {1 / terms.drop_level:,.0f}"
            f" needed, from {pairs}."
        )
    assert decision.answer == CANNOT_TELL
    shown = (
        f"Evidence of {decision.keep_evidence:,.3g} of {needed:,.0f} needed to keep it, and of "
        f"{decision.drop_evidence:,.3g} of {1 / terms.drop_level:,.0f} to drop it"
    )
    if decision.is_futile:
        return f"{shown}, from {pairs}; {terms.max_seeds} would most likely not decide."
    return f"{shown}, from all {pairs}."


def _progress(trial: Trial, arms: Arms, result: WaveResult) -> str:
    decision, terms = trial.decision(arms.terms), arms.terms
    text = (
        f"{trial.name}: {format_count(len(trial.pairs), 'pair')} of at most {terms.max_seeds}; "
        f"evidence {decision.keep_evidence:,.3g} of {1 / trial.level:,.0f} to keep, "
        f"{decision.drop_evidence:,.3g} of {1 / terms.drop_level:,.0f} to drop"
    )
    left = terms.max_seeds - len(trial.pairs)
    if decision.answer is None and left and result.seconds is not None:
        text += f"; at most {format_duration(2 * left * result.seconds)} of training left"
    return text
