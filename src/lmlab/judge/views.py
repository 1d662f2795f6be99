"""What people and programs see of a stream of ideas."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from lmlab.console.formatting import align_columns, format_count
from lmlab.judge.ledger import Ledger
from lmlab.judge.stream import Stream, Trial
from lmlab.study.idea_rule import ANSWERS

_COLUMNS = (
    "no",
    "idea",
    "answer",
    "improvement",
    "interval",
    "pairs",
    "runs",
    "to keep",
    "against",
)


def trial_content(trial: Trial, stream: Stream) -> dict[str, Any]:
    """Return a trial as plain values, for ``--json``."""
    decision = trial.decision(stream.terms)
    gains = trial.improvements
    return {
        "number": trial.number,
        "name": trial.name,
        "overrides": list(trial.overrides),
        "against": stream.baselines[trial.baseline].name,
        "answer": trial.answer or ("withdrawn" if trial.withdrawn else "open"),
        "reason": trial.reason,
        "level": trial.level,
        "evidence_needed": 1 / trial.level,
        "keep_evidence": decision.keep_evidence,
        "drop_evidence": decision.drop_evidence,
        "improvement": statistics.fmean(gains) if gains else None,
        "interval": trial.interval(stream.terms.level),
        "pairs": [vars(pair) for pair in trial.pairs],
        "rates": {"baseline": trial.rates[0], "idea": trial.rates[1]},
        "runs": trial.runs,
    }


def stream_content(stream: Stream, ledger: Ledger) -> dict[str, Any]:
    """Return a stream as plain values, for ``--json``."""
    terms = stream.terms.as_dict()
    del terms["pins"]
    return {
        "ledger": str(ledger.folder),
        "terms": terms,
        "standing_baseline": {
            "name": stream.standing.name, "overrides": list(stream.standing.overrides)
        },
        "ideas": [trial_content(trial, stream) for trial in stream.trials],
        "runs": len(stream.runs),
        "next_level": stream.next_level(),
        "is_closed": stream.is_closed,
        "final": stream.final,
    }  # fmt: skip


def describe_stream(stream: Stream) -> Iterator[str]:
    """Yield lines about a stream: its baseline, its ideas, what is next, and the last word."""
    terms = stream.terms
    error = "false discovery rate" if terms.control == "fdr" else "family-wise error"
    yield (
        f"{terms.name}: {terms.metric} in {terms.unit}, margin {terms.margin:g}, {error} of "
        f"{terms.level:g} over all ideas, up to {terms.max_seeds} pairs each"
    )
    overrides = " ".join(stream.standing.overrides) or "the default configuration"
    yield f"standing baseline: {stream.standing.name} ({overrides})"
    if stream.trials:
        yield from align_columns([_COLUMNS, *(_row(trial, stream) for trial in stream.trials)])
    counts = ", ".join(
        f"{number} {answer}"
        for answer in ANSWERS
        if (number := sum(trial.answer == answer for trial in stream.trials))
    )
    yield (
        f"{format_count(len(stream.trials), 'idea')}" + (f": {counts}" if counts else "")
        + f"; {format_count(len(stream.runs), 'run')}"
    )  # fmt: skip
    if not stream.is_closed:
        yield f"the next idea is kept if its evidence reaches {1 / stream.next_level():,.0f}"
    yield from describe_final(stream)


def describe_final(stream: Stream) -> Iterator[str]:
    """Yield lines about the last word, if there is one."""
    final, terms = stream.final, stream.terms
    if final is None:
        if stream.is_closed:
            yield "the last word has begun: python -m lmlab.judge final finishes it"
        return
    low, high = final["interval"]
    yield (
        f"last word on {terms.final_text}: {stream.standing.name} against the first baseline "
        f"{final['answer']}: improvement {final['improvement']:+.4f} [{low:+.4f}, {high:+.4f}] "
        f"{terms.unit}, {format_count(len(final['pairs']), 'pair')}, p = {final['p']:.2g}"
    )


def describe_trial(trial: Trial, stream: Stream) -> str:
    """Return the state of a trial in a line."""
    content = trial_content(trial, stream)
    text = f"{trial.name}: {content['answer']}"
    if content["improvement"] is not None:
        text += f", improvement {content['improvement']:+.4f}"
        if content["interval"] is not None:
            low, high = content["interval"]
            text += f" [{low:+.4f}, {high:+.4f}]"
        text += f" {stream.terms.unit}"
    return f"{text}. {trial.reason}".rstrip()


def _row(trial: Trial, stream: Stream) -> list[str]:
    content = trial_content(trial, stream)
    gain, ends = content["improvement"], content["interval"]
    return [
        str(trial.number), trial.name, content["answer"],
        "" if gain is None else f"{gain:+.4f}",
        "" if ends is None else f"[{ends[0]:+.4f}, {ends[1]:+.4f}]",
        str(len(trial.pairs)), str(trial.runs),
        f"{content['keep_evidence']:,.3g} of {content['evidence_needed']:,.0f}",
        content["against"],
    ]  # fmt: skip
