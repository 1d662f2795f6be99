"""Overrides of settings whose keys are free, such as the patterns of ``hydra.launcher.per_arm``.

Hydra accepts only keys that a mapping has already, and the defaults of these are empty: without a
``+`` it would refuse every key. With a ``+`` it refuses those that a file has set. The same goes
for ``data.windows``, which every source has, whether its file lists it or not.
"""

from __future__ import annotations

import re

OPEN_MAPPINGS = (
    "hydra.launcher.per_arm", "hydra.launcher.driver", "design.arms", "design.factors",
    "design.changes", "callbacks", "optim.groups", "validation.tasks", "data.sources",
    "data.weights", "data.valid_weights", "design.margins", "design.expected_sds", "data.windows",
)  # fmt: skip
_QUOTED_KEY = re.compile(r"""([{,]\s*)(?:"([^"\\]*)"|'([^'\\]*)')(?=\s*:)""")
_SOURCE = re.compile(r"data\.sources\.[^.]+")  # data.sources.books=books.txt
_SPECIAL = re.compile(r"([()\[\]{}:=, \t\\])")


def open_mapping(override: str) -> str:
    """Return an override that adds its keys, if it sets an open mapping; otherwise the same.

    Also accept quoted keys, as in YAML: Hydra's grammar has none.
    """
    key, equals, value = override.partition("=")
    name = key.lstrip("+")
    if not equals or not any(name == one or name.startswith(f"{one}.") for one in OPEN_MAPPINGS):
        return override
    if _SOURCE.fullmatch(name) and not value.lstrip().startswith("{"):
        name += ".train"  # of a source that is a file, so that its other settings can be given, too
    if value.lstrip().startswith("{"):
        value = _QUOTED_KEY.sub(
            lambda found: found[1] + escape_key(found[2] or found[3] or ""), value
        )
    return f"++{name}={value}"


def escape_key(key: str) -> str:
    """Return the key of a mapping in Hydra's grammar."""
    return _SPECIAL.sub(r"\\\1", key)
