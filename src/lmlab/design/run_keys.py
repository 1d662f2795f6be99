"""What makes two configurations one arm, and two runs one run, before anything is prepared.

The identity of a run (:mod:`lmlab.build.identity`) needs prepared data and a device. These keys
need only the configuration, so that a sweep can be checked in well under a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.build.equal_settings import canonical_settings
from lmlab.config.identity_settings import select_identity
from lmlab.run_folder import flatten

# Fields of the runtime that change neither the result nor the arm.
_UNRELATED_RUNTIME = ("preflight", "beside", "parallel")


def arm_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a configuration that define its arm: dotted key to plain value.

    Seeds, names, paths and what is only recorded or kept are left out. Spellings of the same
    settings are equal here.

    Args:
        content: the configuration as nested plain values.
    """
    return _flat(content, canonical_settings(select_identity(dict(content))))


def typed_arm_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return :func:`arm_settings` as they were typed; their targets need not be trusted."""
    return _flat(content, select_identity(dict(content)))


def _flat(content: Mapping[str, Any], selected: dict[str, Any]) -> dict[str, Any]:
    del selected["seeds"]
    runtime = {
        key: value for key, value in content["runtime"].items() if key not in _UNRELATED_RUNTIME
    }
    nodes = selected | {
        "data": content["data"], "tokenizer": content["tokenizer"], "runtime": runtime
    }  # fmt: skip
    tasks = content["validation"].get("tasks")
    if tasks is not None:
        nodes["validation"] = selected["validation"] | {"tasks": tasks}
    return {key: _plain(value) for key, value in flatten(nodes)}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain(one) for one in value)
    if isinstance(value, dict):
        return tuple(sorted((key, _plain(one)) for key, one in value.items()))
    return value


def run_seeds(content: Mapping[str, Any]) -> tuple[int, int]:
    """Return the seeds that distinguish the runs of an arm: of initialization and of the data."""
    return content["seeds"]["init"], content["seeds"]["data"]


def differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ. A differing component is one key, not all its fields."""
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    components = {key.removesuffix("._target_") for key in keys if key.endswith("._target_")}
    shown = []
    for key in keys:
        owner = next((one for one in components if key.startswith(f"{one}.")), key)
        if owner not in shown:
            shown.append(owner)
    return shown


def typed_text(value: Any) -> str:
    """Return a plain value as it is typed on the command line: ``null``, ``true``, ``[1, 2]``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(typed_text, value))}]"
    return str(value)


def value_of(settings: Mapping[str, Any], key: str) -> str:
    """Return the value of a key of :func:`differing` as text; of a component, its class."""
    if key in settings:
        return typed_text(settings[key])
    target = settings.get(f"{key}._target_")
    return "unset" if target is None else str(target).rpartition(".")[2]
