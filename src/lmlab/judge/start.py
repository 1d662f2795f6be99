"""The beginning of a ledger: its terms, and what they pin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.judge import guards, pins
from lmlab.judge.held_out import check_apart, check_unused, read_final_text
from lmlab.judge.idea import compose_run, settings_hash
from lmlab.judge.ledger import FORMAT_VERSION, Ledger
from lmlab.judge.place import FOLDER, check_name
from lmlab.judge.stream import BASELINE_ARM, START, Stream, read_stream
from lmlab.judge.terms import Terms
from lmlab.sweep.run_data_cache import RunDataCache


def start(
    folder: Path | None, name: str, baseline: Sequence[str], given: Mapping[str, Any]
) -> tuple[Ledger, Stream]:
    """Start a ledger; the same command again returns the one that it has started.

    Args:
        folder: of the ledger; None for ``outputs/judge/NAME``.
        name: of the ledger.
        baseline: overrides of the first baseline.
        given: terms; those that are None come from the scale of the baseline.

    Raises:
        ConfigError: a term or an override is not valid, the ledger has other terms, or the held-out
            text is trained on, validated on, or used.
        DataError: a text cannot be used.
    """
    check_name(name)
    guards.check_baseline(baseline)
    config = compose(list(baseline))
    if config.design is not None or config.demo is not None:
        raise ConfigError(
            "baseline: selects a study or a demo; expected the settings of a run",
            "remove design=, demo= and experiment=",
        )
    scale = config.scale
    of_scale = {
        "margin": scale.margin, "expected_sd": scale.expected_sd,
        "num_tuning_seeds": scale.num_tuning_seeds,
    }  # fmt: skip
    chosen = of_scale | {key: value for key, value in given.items() if value is not None}
    terms = Terms(name=name, baseline=tuple(baseline), **chosen)
    ledger = Ledger(folder or Path(config.output_root) / FOLDER / name)
    if ledger.exists:
        stream = read_stream(ledger.rows())
        _check_same(stream.terms, terms, ledger)
        return ledger, stream
    first = compose_run(terms, baseline, terms.seeds_of_block(0)[0], BASELINE_ARM)
    data = RunDataCache().get(first)
    pinned: dict[str, Any] = {
        "files": pins.pinned_files(),
        "measured": pins.measured(first, data, terms.metric),
    }
    if terms.final_text is not None:
        _, digest, documents = read_final_text(terms.final_text)
        check_unused(digest, ledger, terms.final_text)
        check_apart(terms.final_text, documents, data.corpus, BASELINE_ARM)
        pinned["final text"] = digest
    terms = Terms.from_dict(terms.as_dict() | {"pins": pinned})
    with ledger.lock():
        ledger.append(
            START,
            {
                "format_version": FORMAT_VERSION,
                "terms": terms.as_dict(),
                "settings": settings_hash(first),
            },
        )
    return ledger, read_stream(ledger.rows())


def _check_same(old: Terms, new: Terms, ledger: Ledger) -> None:
    before, now = old.as_dict(), new.as_dict()
    for key in before:
        if key != "pins" and before[key] != now[key]:
            raise ConfigError(
                f"{key}={now[key]}: expected {before[key]}, with which {ledger.folder} was started",
                "to judge by other terms, start a ledger with another name",
            )
