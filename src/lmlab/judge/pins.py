"""What the evaluation of a stream depends on, as it was when the ledger was started.

An idea is judged by how it changes the model or its training. One that changes what is measured, or
how, would be judged by a gain that is none. Content is pinned by its hash, settings by their value,
and the source files that measure and decide by a hash of their meaning, which comments and
formatting do not change (:mod:`lmlab.build.source_hash`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmlab.build.run_data import RunData
from lmlab.build.source_hash import hash_source
from lmlab.config.run_config import RunConfig
from lmlab.data.mixed_tokens import evaluated_parts
from lmlab.errors import ConfigError
from lmlab.judge.terms import Terms

PACKAGE = Path(__file__).resolve().parents[1]
# Files below src/lmlab that compute the metric, read it, or decide by it.
EVALUATION_FILES = (
    "data/batches.py", "data/mixed_tokens.py", "data/text_bytes.py", "design/search.py",
    "evaluate.py", "judge/admission.py", "judge/causality.py", "judge/final.py", "judge/guards.py",
    "judge/held_out.py", "judge/idea.py", "judge/ledger.py", "judge/pins.py", "judge/stream.py",
    "judge/terms.py", "judge/trial.py", "judge/wave.py",
    "nn/loss.py", "run_folder.py", "study/e_process.py", "study/idea_rule.py",
    "study/online_level.py", "tasks/scorer.py", "training/evaluator.py",
    "training/mixed_evaluator.py", "training/objective.py",
)  # fmt: skip
_NEW_LEDGER = "to judge by something else, start a new ledger"


def pinned_files(package: Path = PACKAGE) -> dict[str, str]:
    """Return a hash of each file that computes the metric or decides by it; by path."""
    return {
        name: hash_source(name, (package / name).read_bytes()) if (package / name).is_file()
        else "removed"
        for name in EVALUATION_FILES
    }  # fmt: skip


def measured(config: RunConfig, data: RunData, metric: str) -> dict[str, Any]:
    """Return what the metric of a run is measured on, and by which settings.

    Args:
        config: of the run.
        data: its prepared texts.
        metric: ``loss`` depends on the tokenizer, ``bits_per_byte`` does not.
    """
    parts = evaluated_parts(
        data.valid,
        context_length=config.model.context_length,
        max_tokens=config.validation.max_tokens,
    )
    found: dict[str, Any] = {
        "validation text": data.corpus.valid_hash,
        "settings of validation": {
            key: value
            for key, value in config.as_dict()["validation"].items()
            if key not in ("batch_size", "probes")
        },
    }
    if metric == "loss":
        found |= {
            "tokenizer": data.tokenizer.hash,
            "evaluated tokens": sum(part.num_tokens for part in parts),
        }
    return found


def check_files(terms: Terms, package: Path = PACKAGE) -> None:
    """Check that no file that computes the metric has changed since the ledger was started.

    Raises:
        ConfigError: one has.
    """
    now = pinned_files(package)
    for name, digest in terms.pins["files"].items():
        if now.get(name, "removed") != digest:
            raise ConfigError(
                f"src/lmlab/{name}: changed since the ledger was started; expected the code that "
                "measures and decides to stay as it was",
                f"restore the file; {_NEW_LEDGER}",
            )


def check_measured(name: str, config: RunConfig, data: RunData, terms: Terms) -> None:
    """Check that a run is measured as all others of the stream.

    Args:
        name: of the idea, or ``baseline``.
        config: of the run.
        data: its prepared texts.
        terms: of the stream.

    Raises:
        ConfigError: the validation text, the tokenizer, the tokens or a setting is another one.
    """
    now, pinned = measured(config, data, terms.metric), terms.pins["measured"]
    for key, value in pinned.items():
        if now[key] == value:
            continue
        shown = ": ".join([f"{name}: {key}", _difference(value, now[key])])
        help = f"leave the data that measure as they are; {_NEW_LEDGER}"
        if key == "tokenizer":
            help = "start a ledger with metric=bits_per_byte to compare tokenizers"
        raise ConfigError(f"{shown}, as when the ledger was started", help)


def _difference(pinned: Any, now: Any) -> str:
    if isinstance(pinned, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**pinned, **now} if pinned.get(key) != now.get(key)]
        changed = ", ".join(f"validation.{key}={now.get(key)}" for key in keys)
        kept = ", ".join(f"validation.{key}={pinned.get(key)}" for key in keys)
        return f"{changed}: expected {kept}"
    short = [str(one)[:12] for one in (now, pinned)]
    return f"{short[0]}: expected {short[1]}"
