"""Environment variables that replace the defaults of trackers' settings, and lose against values.

They are read once, in the process that composes the configuration, and frozen for jobs elsewhere.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lmlab.config.paths import conf_folder
from lmlab.config.several_options import components_of
from lmlab.config.user_settings import search_path
from lmlab.config.value_types import format_value
from lmlab.config.yaml_files import read_settings
from lmlab.runtime.launch_env import read_launch_env

_TRUE = ("1", "true", "yes", "on")
_REFERENCE = re.compile(r"\$\{tracker_variable:\s*(\w+)")


def tracker_variable(name: str, default: Any = None) -> Any:
    """Return an environment variable of a tracker, or ``default`` where it is unset or empty.

    As the default of a setting, it takes precedence over ``default`` and not over explicit values.

    ``WANDB_TAGS`` is a comma-separated list. A true ``WANDB_DISABLED`` makes ``WANDB_MODE``
    ``disabled``.
    """
    if name == "WANDB_MODE" and _is_disabled():
        return "disabled"
    text = os.environ.get(name, "").strip()
    if name == "WANDB_TAGS":
        return [tag.strip() for tag in text.split(",") if tag.strip()]
    return text or default


def print_sources(config: DictConfig) -> None:
    """Print which settings of trackers environment variables set, and which of them do nothing.

    What this process has printed, or another rank prints, is not printed.

    Args:
        config: composed, with its interpolations.
    """
    logger: Any = OmegaConf.to_container(config.logger, resolve=False)
    taken, replaced = [], []
    for key, value, variable in _settings_of_variables(logger):
        if isinstance(value, str) and _REFERENCE.match(value):
            value = format_value(tracker_variable(variable))
            taken.append(f"{key}={value} ({_source(variable)})")
        else:
            replaced.append(f"{_source(variable)} ({key}={format_value(value)} is set)")
    if taken:
        _print(f"from the environment: {', '.join(taken)}")
    if replaced:
        _print(f"environment variables without effect: {', '.join(replaced)}")


def _settings_of_variables(logger: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield the key and the value of each setting whose variable is set, and the variable."""
    if not any(_is_set(name) for name in _variables_of_options()):
        return
    for path, component in components_of("logger", logger).items():
        for key, name in _variables_of(str(component.get("_target_"))).items():
            if _is_set(name) and key in component:
                yield f"{path}.{key}", component[key], name


def _variables_of_options() -> set[str]:
    return {name for options in _options().values() for name in options.values()}


def _variables_of(target: str) -> dict[str, str]:
    """The variables of the settings of a target, by the name of the setting."""
    return _options().get(target, {})


def _options() -> dict[str, dict[str, str]]:
    """The variables by setting in the files of options, by target."""
    found: dict[str, dict[str, str]] = {}
    for folder in (conf_folder(), *search_path()):
        for file in sorted((folder / "logger").glob("*.yaml")):
            try:
                content = read_settings(file)
            except ValueError:  # reported where the option is chosen
                continue
            references = {key: _REFERENCE.match(str(value)) for key, value in content.items()}
            found[str(content.get("_target_"))] = {
                key: match[1] for key, match in references.items() if match
            }
    return found


def _is_set(name: str) -> bool:
    return tracker_variable(name) not in (None, [])


def _source(name: str) -> str:
    return "WANDB_DISABLED" if name == "WANDB_MODE" and _is_disabled() else name


def _is_disabled() -> bool:
    return os.environ.get("WANDB_DISABLED", "").strip().lower() in _TRUE


@functools.cache
def _print(text: str) -> None:
    if read_launch_env().is_rank0:
        print(text, file=sys.stderr)
