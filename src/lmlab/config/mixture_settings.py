"""``data=mixture``: named sources, each an option of ``data``, and their weights.

Checked without torch and before a file is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError, did_you_mean, nearest

TARGET = "lmlab.data.mixture.Mixture"
SOURCES = "data.sources"
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_EXAMPLE = "data.sources.books=books.txt data.weights.books=3"


def is_mixture(data: Any) -> bool:
    """Whether a node ``data`` is a mixture."""
    return isinstance(data, Mapping) and data.get("_target_") == TARGET


def mixture_sources(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the component of each source of a checked node ``data``."""
    if is_mixture(data):
        for name, node in data["sources"].items():
            yield f"{SOURCES}.{name}", node


def without_sources(data: Any) -> Any:
    """Return a node ``data`` without its sources, which are components of their own."""
    return {**data, "sources": {}} if is_mixture(data) else data


def text_settings(data: Any) -> Any:
    """Return the settings of a node ``data`` that say which text there is.

    Left out are those that say how much of it a run reads: shares of sources, and caps.
    """
    if not isinstance(data, Mapping):
        return data
    left_out = ("tokens", "weights", "valid_weights") if is_mixture(data) else ("tokens",)
    kept = {key: value for key, value in data.items() if key not in left_out}
    if is_mixture(data):
        kept["sources"] = {name: text_settings(one) for name, one in data["sources"].items()}
    return kept


def check_mixture(data: Any) -> None:
    """Check the names and weights of a mixture; other options of ``data`` pass.

    Raises:
        ConfigError: there are fewer than two sources, a source has no weight, or a weight no
            source, or is not above 0.
    """
    if not is_mixture(data):
        return
    sources = data.get("sources")
    if not isinstance(sources, Mapping):
        raise ConfigError(f"{SOURCES}={format_value(sources)}: expected sources by name", _EXAMPLE)
    for name, node in sources.items():
        _check_source(name, node)
    if len(sources) < 2:
        found = ", ".join(map(str, sources)) or "none"
        raise ConfigError(
            f"{SOURCES}: expected two sources or more, found {found}",
            f"add one: {_EXAMPLE}" if not sources else "for a single text set data=text",
        )
    check_weights("data.weights", data.get("weights"), sources)
    if data.get("valid_weights") is not None:
        check_weights("data.valid_weights", data["valid_weights"], sources)


def _check_source(name: Any, node: Any) -> None:
    key = f"{SOURCES}.{name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{SOURCES}: expected names of letters, digits, _ and -, found {name}",
            f"for example {_EXAMPLE}",
        )
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ConfigError(
            f"{key}={format_value(node)}: expected a file, or the settings of a source",
            f"set {key}=FILE, or {key}.data=OPTION and its settings",
        )
    if node["_target_"] == TARGET:
        raise ConfigError(
            f"{key}: expected a source that is no mixture itself", "name its sources here"
        )


def check_weights(key: str, weights: Any, sources: Mapping[str, Any]) -> None:
    """Check that each source has a weight above 0. Raises :class:`ConfigError`."""
    if not isinstance(weights, Mapping):
        raise ConfigError(
            f"{key}={format_value(weights)}: expected a weight for each source",
            f"set {key}.{next(iter(sources))}=1",
        )
    for name, weight in weights.items():
        if name not in sources:
            raise ConfigError(
                f"{key}.{name}={format_value(weight)}: expected one of the sources "
                f"{', '.join(sources)}",
                did_you_mean([f"{key}.{one}" for one in nearest(str(name), list(sources))])
                or f"add {SOURCES}.{name}, or remove {key}.{name}",
            )
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            raise ConfigError(
                f"{key}.{name}={format_value(weight)}: expected a finite number above 0",
                f"remove {SOURCES}.{name} and {key}.{name} to leave the source out",
            )
    if missing := [name for name in sources if name not in weights]:
        raise ConfigError(
            f"{key}.{missing[0]}: expected a weight for each source", f"set {key}.{missing[0]}=1"
        )
