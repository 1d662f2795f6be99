"""What the rows of a ledger allow next: a further idea, or the last word."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.errors import ConfigError
from lmlab.judge.stream import Stream


def known_overrides(stream: Stream, name: str, overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of an idea: those that are given, or those that its name has.

    Raises:
        ConfigError: there are none, or the ledger has ended.
    """
    if stream.is_closed:
        raise ConfigError(
            f"{stream.terms.name}: the last word has been spoken; expected a ledger that is open",
            "start a new ledger, with another held-out text",
        )
    known = stream.named(name)
    if overrides:
        return tuple(overrides)
    if not known:
        raise ConfigError(
            f"name={name}: expected overrides with the name of a new idea",
            f"write for example judge add name={name} overrides=[model.norm=post]",
        )
    return known[-1].overrides


def check_open(stream: Stream) -> None:
    """Check that the rows of a ledger allow the last word.

    Raises:
        ConfigError: it has been spoken, no text was held out, an idea is open, or none was kept.
    """
    terms = stream.terms
    if stream.final is not None:
        raise ConfigError(
            f"{terms.final_text}: used on {stream.final['time']} for the last word of "
            f"{terms.name}; expected a held-out text to be used once",
            "python -m lmlab.judge show prints the result; start a new ledger with another text",
        )
    if terms.final_text is None:
        raise ConfigError(
            f"{terms.name}: no held-out text; expected final_text=FILE of judge start",
            "start a new ledger with one",
        )
    waiting = [trial.name for trial in stream.trials if trial.is_open]
    if waiting:
        raise ConfigError(
            f"{', '.join(waiting)}: open; expected all ideas to be answered before the last word",
            f"run python -m lmlab.judge add name={waiting[0]}",
        )
    if len(stream.baselines) == 1:
        raise ConfigError(
            f"{terms.name}: the baseline has not moved, so that there is nothing to confirm",
            "the held-out text is unused: try further ideas",
        )
