"""What of a configuration changes the result, and how an arm is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Any

_LONGEST_ARM = 100
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
# Settings that choose no arm: names, places, seeds, and what is only recorded or shown.
_NO_ARM = re.compile(
    r"(study|arm|seed|seeds\..*|output_root|parent|experiment|logger(\..*)?|hydra([./].*)?"
    r"|samples(\..*)?|checkpoint(\..*)?|runtime\.(device|preflight|beside|parallel)|training\.log_every)"
)


def select_identity_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that changes a run's result.

    Left out are names and places, what is only recorded or kept, the data and tokenizer (their
    content hashes belong to the identity instead), and the runtime (the resolved device does).
    """
    training = {k: v for k, v in config["training"].items() if k != "log_every"}
    validation = {k: v for k, v in config["validation"].items() if k != "batch_size"}
    model = dict(config["model"])
    if model["init"].get("sha256"):  # weights from a folder: their hash stands for the place
        model["init"] = {k: v for k, v in model["init"].items() if k != "path"}
    return {
        "model": model,
        "optim": config["optim"],
        "schedule": config["schedule"],
        "training": training,
        "validation": validation,
        "seeds": {"init": config["seeds"]["init"], "data": config["seeds"]["data"]},
    }


def arm_name(overrides: Sequence[str], swept: Collection[str] = ()) -> str:
    """A folder name made from the overrides that make an arm: ``model.norm-post+optim.lr-1e-3``.

    It is ``default`` where there are none, and needs no quotes in an override. Different overrides
    give different names: where something is left out or replaced, a hash of the whole is added.
    What is ``swept`` comes first, so that it is not what is left out.
    """
    first = {key.lstrip("+").replace("/", ".") for key in swept}
    chosen: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+").replace("/", ".")
        if not _NO_ARM.fullmatch(key.lstrip("~")):
            chosen[key] = value
    if not chosen:
        return "default"
    pairs = sorted(chosen.items(), key=lambda pair: (pair[0] not in first, pair))
    # Of paths the last part says the most.
    shown = [f"{key}-{re.sub(_ODD, '-', value.rpartition('/')[2])}" for key, value in pairs]
    name = "+".join(re.sub(_ODD, "-", pair) for pair in shown)
    if len(name) <= _LONGEST_ARM and shown == [f"{key}-{value}" for key, value in pairs]:
        return name
    digest = hashlib.sha256(repr(pairs).encode("utf-8")).hexdigest()[:8]
    return f"{name[:_LONGEST_ARM].rstrip('-.+')}-{digest}"
