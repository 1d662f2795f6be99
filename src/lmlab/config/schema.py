"""The schema that Hydra composes against: unknown keys and wrong types fail there.

It is :class:`lmlab.config.run_config.RunConfig` with every value missing and every component a
dictionary, since Hydra fills a configuration piece by piece.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from lmlab.config.run_config import Component, RunConfig, field_types


@functools.cache
def hydra_schema(kind: type = RunConfig) -> type:
    """Derive from the frozen ``kind`` the mutable dataclass that Hydra fills."""
    fields: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        hint = field_types(kind)[field.name]
        if dataclasses.is_dataclass(hint):
            node = hydra_schema(typing.cast(type, hint))
            fields.append((field.name, node, dataclasses.field(default_factory=node)))
            continue
        default = MISSING if field.default is dataclasses.MISSING else field.default
        hint = _as_composed(hint)
        if isinstance(default, Component):
            fields.append((field.name, hint, dataclasses.field(default_factory=default.as_dict)))
            continue
        if field.metadata.get("null_until_frozen"):
            hint |= None
        fields.append((field.name, hint, dataclasses.field(default=default)))
    return dataclasses.make_dataclass(kind.__name__, fields)


def _as_composed(hint: Any) -> Any:
    if hint is Component:
        return dict[str, Any]
    if isinstance(hint, types.UnionType) and Component in typing.get_args(hint):
        return dict[str, Any] | None
    if typing.get_origin(hint) is tuple:
        return list[typing.get_args(hint)[0]]  # type: ignore[misc]
    return hint


def register() -> None:
    """Register the schema with Hydra under the name ``schema``, unless it is there."""
    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:
        store.store(name="schema", node=hydra_schema())
