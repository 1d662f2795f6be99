"""The settings that change the result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.config.deprecated_keys import original_names
from lmlab.config.run_config import RunConfig
from lmlab.config.run_length import without_budgets
from lmlab.run_folder import flatten
from lmlab.storage.json_text import dump_json, load_json


def identity_settings(config: RunConfig) -> dict[str, Any]:
    """Return the part of a configuration that changes a run's result.

    It excludes names and paths, what is only recorded, observed or kept, such as probes, the data,
    the tokenizer and the tasks (the identity holds their content hashes instead), and the runtime
    (it holds the resolved device). Of the data it holds ``windows`` unless that is ``cross``.
    Targets have their original names, so that runs of earlier versions have the same identity.
    """
    return select_identity(config.as_dict())


def select_identity(config: dict[str, Any]) -> dict[str, Any]:
    """Return :func:`identity_settings` of a configuration as nested plain values."""
    content = original_names(config)
    training = without_budgets(content["training"])
    del training["log_every"]
    training.pop("diagnose_every", None)
    validation = {
        k: v for k, v in content["validation"].items() if k not in ("batch_size", "tasks", "probes")
    }
    model = content["model"]
    if model["init"].get("sha256"):  # weights from a folder: their hash replaces its path
        model["init"] = {k: v for k, v in model["init"].items() if k != "path"}
    windows = content["data"].get("windows")
    return {
        **({} if windows is None else {"data": {"windows": windows}}),
        "model": model,
        "optim": content["optim"],
        "schedule": content["schedule"],
        "training": training,
        "validation": validation,
        "seeds": {"init": content["seeds"]["init"], "data": content["seeds"]["data"]},
    }


def unlike_recorded(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """List the settings that change the result and differ, one ``key: recorded -> here`` each.

    Args:
        recorded: ``config`` in the identity of a run, as this or an earlier version wrote it.
        config: a full configuration as plain values.
    """
    content = load_json(dump_json(config))
    there = dict(flatten(dict(recorded)))
    here = dict(flatten(select_identity(content)))
    as_typed = dict(flatten(original_names(content)))  # identities of earlier versions hold more
    return [
        f"{key}: {there.get(key)} -> {here.get(key, as_typed.get(key))}"
        for key in {**there, **here}
        if there.get(key) not in (here.get(key), as_typed.get(key))
    ]
