"""The length of a run: ``training.steps``, or a budget from which the steps follow.

With ``training.tokens`` and ``training.flops``, they are a function of the configuration, counted
when it is frozen. With ``training.minutes``, they are measured when the run first starts
(:mod:`lmlab.runs.measured_length`); until then they are 0. In either case, a run of 500 steps is
the same run, however its length was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.group_selection import is_set
from lmlab.config.shared_parameters import DOCUMENT
from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError

# Budgets in place of training.steps. They are recorded, and the steps are what counts.
COUNTED = ("tokens", "flops")
BUDGETS = (*COUNTED, "minutes")
LENGTHS = ("steps", *BUDGETS)
# Keys that a key replaces.
RIVALS = {
    f"training.{name}": tuple(f"training.{other}" for other in LENGTHS if other != name)
    for name in LENGTHS
}


def choose_length(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Keep one of the lengths, and set the others to null: a typed one wins over those of files.

    Args:
        content: a resolved configuration, changed in place.
        overrides: as typed.

    Raises:
        ConfigError: two are given.
    """
    training = content["training"]
    budgets = [name for name in BUDGETS if training.get(name) is not None]
    typed = [name for name in ("steps", *budgets) if is_set(overrides, "training", name)]
    given = typed or budgets
    if len(given) > 1:
        raise _both(training, given)
    for name in budgets:
        training[name] = training[name] if name in given else None
    if given == ["minutes"]:
        training["steps"] = 0


def complete_lengths(training: Any) -> None:
    """Let the length that a file sets replace those of earlier files.

    Args:
        training: the node ``training`` of one file, changed in place.

    Raises:
        ConfigError: the file sets two.
    """
    if not isinstance(training, dict):
        return
    given = [name for name in LENGTHS if training.get(name) is not None]
    if len(given) > 1:
        raise _both(training, given)
    if given:
        for name in BUDGETS:
            training.setdefault(name, None)


def has_counted_steps(content: Mapping[str, Any]) -> bool:
    """Whether the steps follow from other settings."""
    return any(content["training"].get(name) is not None for name in COUNTED)


def has_budget(content: Mapping[str, Any]) -> bool:
    """Whether the steps follow from a budget."""
    return any(content["training"].get(name) is not None for name in BUDGETS)


def has_unmeasured_steps(content: Mapping[str, Any]) -> bool:
    """Whether the steps are still to be measured."""
    training = content["training"]
    return training.get("minutes") is not None and training["steps"] == 0


def require_known_steps(content: Mapping[str, Any], where: str) -> None:
    """Check that the steps need no measurement. Raises :class:`ConfigError`.

    Args:
        content: a frozen configuration as plain values.
        where: what cannot measure them, for the message.
    """
    if has_unmeasured_steps(content):
        raise ConfigError(
            f"training.minutes={content['training']['minutes']:g}: expected null {where}",
            "set training.steps, training.tokens or training.flops; a single run with "
            "training.minutes prints the steps that it measures",
        )


def count_steps(content: dict[str, Any]) -> None:
    """Set ``training.steps`` to the number nearest to the budget, if there is one.

    The nearest number, not the next larger: arms with different batch sizes then miss the budget in
    both directions. ``design.hold_tokens`` rounds in the same way.

    Args:
        content: a configuration whose sizes and components are valid, changed in place.

    Raises:
        ConfigError: the budget is less than half an update, or its FLOPs cannot be counted.
    """
    training = content["training"]
    for name, count in (("tokens", _update_tokens), ("flops", _update_flops)):
        budget = training.get(name)
        if budget is None:
            continue
        update = count(content)
        training["steps"] = round(budget / update)
        if training["steps"] < 1:
            raise ConfigError(
                f"training.{name}={format_value(budget)}: expected at least {update:,}, which one "
                f"update of {training['batch_size']} sequences takes",
                f"raise training.{name}, or lower training.batch_size or model.context_length",
            )


def describe_length(training: Mapping[str, Any]) -> str:
    """Return the budget of a frozen configuration and its steps; empty if it has no budget."""
    shown = [
        f"training.{name}={training[name]:g}: {training['steps']:,} steps"
        for name in BUDGETS
        if training.get(name) is not None
    ]
    return ", ".join(shown)


def without_budgets(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node ``training`` of a frozen configuration as if its steps had been given.

    Minutes stay until they are steps: different minutes are different runs.
    """
    dropped = COUNTED if has_unmeasured_steps({"training": training}) else BUDGETS
    return {key: value for key, value in training.items() if key not in dropped}


def _update_tokens(content: Mapping[str, Any]) -> int:
    return int(content["training"]["batch_size"]) * int(content["model"]["context_length"])


def _update_flops(content: Mapping[str, Any]) -> int:
    if content["data"].get("windows") == DOCUMENT:
        raise ConfigError(
            f"training.flops={format_value(content['training']['flops'])}: expected null with "
            f"data.windows={DOCUMENT}, whose FLOPs depend on documents that are not read yet",
            "set training.tokens or training.steps",
        )
    from lmlab.accounting.model_counts import count_update_flops  # most runs need no counts

    try:
        return count_update_flops(content)
    except ConfigError as error:
        flops = format_value(content["training"]["flops"])
        raise ConfigError(
            f"training.flops={flops}: {error.message}",
            f"{error.help}, or set training.tokens or training.steps",
        ) from error


def _both(training: Mapping[str, Any], given: Sequence[str]) -> ConfigError:
    shown = " and ".join(f"training.{name}={format_value(training[name])}" for name in given)
    return ConfigError(
        f"{shown}: expected one length of the run",
        f"remove {'one of the two' if len(given) == 2 else 'all but one'}",
    )
