"""Convert settings outside the configuration of a run to their types, as Hydra does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lmlab.config.interpolation import parse_text
from lmlab.config.value_types import describe_annotation, format_value
from lmlab.errors import ConfigError, suggestion


def read_typed(kind: type, given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the fields of a dataclass with values converted by OmegaConf: ``no`` is False.

    Args:
        kind: the dataclass.
        given: values by field.
        prefix: what precedes a field in messages, such as ``hydra.launcher``.

    Raises:
        ConfigError: a field is unknown or its value has another type.
    """
    annotations = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    node = OmegaConf.structured(kind)
    for key, value in given.items():
        name = f"{prefix}.{key}={format_value(value)}"
        if key not in annotations:
            raise ConfigError(
                f"{name}: unknown setting; expected one of {', '.join(annotations)}",
                suggestion(key, annotations),
            )
        try:
            is_text = annotations[key] == "Any" and isinstance(value, str)
            node[key] = parse_text(value) if is_text else value
        except OmegaConfBaseException:
            expected = describe_annotation(annotations[key])
            raise ConfigError(f"{name}: expected {expected}") from None
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
