"""Overrides that an idea may not have, because they would decide how it is judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lmlab.config.group_selection import dotted_key
from lmlab.errors import ConfigError


class _Guard(NamedTuple):
    """Keys that are refused, and why."""

    keys: re.Pattern[str]
    expected: str


_GUARDS = (
    _Guard(
        re.compile(r"seeds?(\..*)?"),
        "no seed: the ledger gives every idea the same ones, so that none is chosen by its result",
    ),
    _Guard(
        re.compile(r"validation(\..*)?"),
        "the settings of validation to stay as when the ledger was started, so that all ideas are "
        "measured alike",
    ),
    _Guard(
        re.compile(r"data\.(.*\.)?\w*valid\w*"),
        "the validation text to stay the one with which the ledger was started",
    ),
    _Guard(
        re.compile(r"(design|ladder)(\..*)?"),
        "the metric, the margin and the rule of decision to stay those of the ledger",
    ),
    _Guard(
        re.compile(r"callbacks(\..*)?"),
        "no functions that run beside the training: they could change what is measured",
    ),
    _Guard(
        re.compile(
            r"study|arm|output_root|experiment|demo|parent|purpose|scale|hydra(\..*)?"
            r"|reuse(_across_code)?"
        ),
        "settings of the model, its training or its training text; this one belongs to the ledger",
    ),
)


def check_overrides(overrides: Sequence[str], *, of: str = "overrides") -> None:
    """Refuse overrides that decide how an idea is judged.

    Args:
        overrides: of the idea, in dotted or slash form.
        of: the option that holds them.

    Raises:
        ConfigError: an override is one of these, or is none.
    """
    for override in overrides:
        key = dotted_key(override)
        if not key or not re.match(r"~\S|[^=\s]+=", override):
            raise ConfigError(
                f"{of}: {override}: expected key=value",
                f"write for example {of}=[model.norm=post,optim.weight_decay=0.05]",
            )
        for guard in _GUARDS:
            if guard.keys.fullmatch(key):
                raise ConfigError(
                    f"{of}: {override}: expected {guard.expected}", f"remove {override}"
                )


def check_baseline(overrides: Sequence[str]) -> None:
    """Refuse seeds and names among the overrides of the first baseline.

    Raises:
        ConfigError: there are some.
    """
    for override in overrides:
        key = dotted_key(override)
        if re.fullmatch(r"seeds?(\..*)?", key):
            raise ConfigError(
                f"baseline: {override}: expected no seed: the ledger counts seeds from first_seed",
                f"remove {override}, or set first_seed",
            )
        if re.fullmatch(r"study|arm|experiment|demo|parent|(design|ladder)(\..*)?", key):
            raise ConfigError(
                f"baseline: {override}: expected settings of a run", f"remove {override}"
            )


def check_seeds(baseline: Mapping[str, Any], idea: Mapping[str, Any]) -> None:
    """Check that no option which an idea selects sets a seed.

    Args:
        baseline: its configuration, as nested plain values.
        idea: that of the idea.

    Raises:
        ConfigError: the seeds of the idea are others.
    """
    for key in ("seed", "seeds"):
        if baseline[key] != idea[key]:
            raise ConfigError(
                f"overrides: {key}={idea[key]}: expected {baseline[key]}, the seeds of the ledger",
                "select no option that sets a seed",
            )


def check_initial_weights(baseline: Mapping[str, Any], idea: Mapping[str, Any]) -> None:
    """Check that an idea starts from no other weights on disk than the baseline.

    Args:
        baseline: its configuration, as nested plain values.
        idea: that of the idea.

    Raises:
        ConfigError: it does.
    """
    found, expected = (content["model"]["init"].get("path") for content in (idea, baseline))
    if found is not None and found != expected:
        raise ConfigError(
            f"overrides: model.init.path={found}: expected weights that are drawn, or those of the "
            "baseline: trained ones have seen more tokens than the runs of the ledger",
            "select another model.init",
        )
