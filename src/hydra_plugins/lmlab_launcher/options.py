"""The options of the launchers with their types: the settings below ``hydra.launcher``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lmlab.config.interpolation import parse_text
from lmlab.config.value_types import describe_annotation, format_value
from lmlab.errors import ConfigError, suggestion
from lmlab.sweep.slurm.resources import LAUNCHER, Resources


@dataclasses.dataclass(frozen=True)
class LocalOptions:
    """Options of ``hydra/launcher=lmlab``; see :class:`LocalLauncher`."""

    jobs_per_device: Any = "auto"
    stack: Any = "auto"
    plan_only: bool = False
    report: bool = True


@dataclasses.dataclass(frozen=True)
class SlurmOptions(Resources):
    """Options of ``hydra/launcher=slurm``; see :class:`SlurmLauncher`.

    :meth:`Resources.from_options` checks the two lists.
    """

    sbatch: Any = dataclasses.field(default_factory=list)
    setup: Any = dataclasses.field(default_factory=list)
    per_arm: dict[str, Any] = dataclasses.field(default_factory=dict)
    arms_per_job: int = 1
    array_parallelism: int = 64
    wait: bool = True
    driver: dict[str, Any] = dataclasses.field(default_factory=dict)
    signal_seconds: int = 90
    retries: int = 3
    poll_seconds: float = 10.0
    plan_only: bool = False
    report: bool = True


def read_options(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a launcher with values converted by OmegaConf: ``no`` is False.

    Args:
        kind: the dataclass of the options.
        given: values by option.

    Raises:
        ConfigError: an option is unknown or its value has another type.
    """
    annotations = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    node = OmegaConf.structured(kind)
    OmegaConf.set_readonly(node, False)
    for key, value in given.items():
        name = f"{LAUNCHER}.{key}={format_value(value)}"
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
