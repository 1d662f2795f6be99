"""The name of an arm, made from its overrides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

_MAX_LENGTH = 100
_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")
# Settings that do not distinguish arms: names, paths, seeds, and what is only recorded, scored or
# shown.
_IGNORED_KEYS = re.compile(
    r"(study|arm|notes|tags|purpose|seed|seeds\..*|output_root|parent|experiment|scale\..*"
    r"|reuse|reuse_across_code"
    r"|logger(\..*)?|callbacks(\..*)?|hydra([./].*)?"
    r"|samples(\..*)?|checkpoint(\..*)?|runtime\.(device|preflight|beside|parallel)|training\.(log|diagnose)_every"
    r"|validation\.(tasks(\..*)?|probes))"
)


def arm_name(overrides: Sequence[str], swept: Collection[str] = ()) -> str:
    """Make a folder name from overrides: ``model.norm-post+optim.lr-1e-3``.

    The name needs no quotes in an override. Different settings give different names: a name that
    omits or replaces a part of them ends in a hash of all of them. A scale that is not swept counts
    only where nothing else does: ``scale-smoke``.

    Args:
        overrides: as typed; seeds, paths and what is only recorded do not count.
        swept: keys that differ between the jobs of a multirun. They come first in the name, where
            they are not cut off.

    Returns:
        The name; ``default`` without overrides that count.
    """
    first = {key.lstrip("+").replace("/", ".") for key in swept}
    chosen: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+").replace("/", ".")
        is_swept_experiment = key == "experiment" and key in first
        if is_swept_experiment or not _IGNORED_KEYS.fullmatch(key.lstrip("~")):
            chosen[key] = value
    if not chosen:
        return "default"
    if "scale" not in first and len(chosen) > 1:
        chosen.pop("scale", None)  # where runs begin, and not what distinguishes them
    pairs = sorted(chosen.items(), key=lambda pair: (pair[0] not in first, pair))
    # Of a path, show the last part only.
    shown = [
        f"{key}-{re.sub(_UNSAFE_CHARACTERS, '-', value.rpartition('/')[2])}" for key, value in pairs
    ]
    name = "+".join(re.sub(_UNSAFE_CHARACTERS, "-", pair) for pair in shown)
    if len(name) <= _MAX_LENGTH and shown == [f"{key}-{value}" for key, value in pairs]:
        return name
    digest = hashlib.sha256(repr(pairs).encode("utf-8")).hexdigest()[:8]
    return f"{name[:_MAX_LENGTH].rstrip('-.+')}-{digest}"
