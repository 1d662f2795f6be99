"""Compose overrides into a frozen configuration: resolved, typed and checked once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from os.path import expanduser
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lmlab.config import config_loader, config_source, resolvers, schema
from lmlab.config.arm_name import arm_name
from lmlab.config.deprecated_keys import upgrade
from lmlab.config.group_optimizers import expand_options
from lmlab.config.group_selection import rewrite_all
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.config.interpolation import reading_hydra, resolve
from lmlab.config.mixture_options import expand_sources
from lmlab.config.mixture_settings import mixture_sources
from lmlab.config.paths import conf_folder
from lmlab.config.renamed_targets import resolve_targets
from lmlab.config.rules import check_rules, check_values
from lmlab.config.run_config import RunConfig, build_tree
from lmlab.config.run_length import choose_length, count_steps, has_counted_steps
from lmlab.config.schedule_settings import check_ignored, fit_warmup
from lmlab.config.target_validation import check_components, check_trunk
from lmlab.config.user_settings import search_path
from lmlab.config.yaml_files import read_settings
from lmlab.errors import ConfigError, DataError

# Settings that name files or folders.
_PATHS = (
    "output_root", "parent", "data.train", "data.valid", "tokenizer.path", "model.init.path",
)  # fmt: skip


def register() -> None:
    """Register schema, source, loader and resolvers with Hydra; harmless to repeat."""
    schema.register()
    config_source.register()
    config_loader.register()
    resolvers.register()


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> RunConfig:
    """Compose a configuration as ``python -m lmlab.train`` does, for notebooks and tests.

    Args:
        overrides: as on the command line, in dotted or slash form: ``["model.norm=post"]``.
        config_name: the root file.

    Returns:
        The frozen configuration; see :func:`freeze`.

    Raises:
        ConfigError: a key, option or value is invalid; the message names it and the fix.
    """
    register()
    folder = conf_folder()
    rewritten = rewrite_all(overrides, [folder, *search_path()])
    with translate_hydra_errors(rewritten, folder):
        config, hydra = config_loader.compose_files(folder, config_name, rewritten)
    with reading_hydra(hydra):
        return freeze(config, overrides)


def compose_launcher(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings of the launcher: its ``_target_`` and its options.

    Args:
        overrides: such as ``["hydra/launcher=slurm", "hydra.launcher.gpus=1"]``.

    Raises:
        ConfigError: a key or an option is invalid.
    """
    register()
    folder = conf_folder()
    rewritten = rewrite_all(overrides, [folder, *search_path()])
    with translate_hydra_errors(rewritten, folder):
        _, hydra = config_loader.compose_files(folder, "train", rewritten)
        content = OmegaConf.to_container(hydra.launcher, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def freeze(config: DictConfig, overrides: Sequence[str], swept: Collection[str] = ()) -> RunConfig:
    """Resolve, check and freeze a composed configuration.

    Args:
        config: without the ``hydra`` node.
        overrides: as typed; ``arm`` is made from them where it is null.
        swept: keys that differ between the jobs of a multirun, which come first in ``arm``.

    Raises:
        ConfigError: see :func:`compose`.
    """
    return _freeze_values(_resolve(config, overrides), overrides, swept)


def _resolve(config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    with translate_hydra_errors(overrides):
        expand_options(config)
        expand_sources(config)
        return resolve(config)


def _freeze_values(
    content: dict[str, Any], overrides: Sequence[str], swept: Collection[str]
) -> RunConfig:
    _expand_home(content)
    if content["arm"] is None:
        content["arm"] = arm_name(overrides, swept)
    content = resolve_targets(content)
    choose_length(content, overrides)
    check_ignored(content, overrides)
    if has_counted_steps(content):
        check_trunk(content)
        check_components(content)
        check_values(content)
        count_steps(content)
    fit_warmup(content, overrides)
    return from_dict(content)


def with_steps(config: RunConfig, steps: int) -> RunConfig:
    """Return a configuration whose steps were measured.

    A warm-up that does not fit is shortened: its number of steps was chosen before theirs was
    known.
    """
    content = config.as_dict()
    content["training"]["steps"] = steps
    fit_warmup(content, ())
    return from_dict(content)


def load_frozen(path: Path) -> RunConfig:
    """Read a configuration written by :func:`to_yaml`, and check it again.

    Raises:
        DataError: the file is missing or is not a configuration.
        ConfigError: a setting is not valid in this version of the code.
    """
    try:
        content = read_settings(path)
    except ValueError as error:
        raise DataError(f"{path}: cannot read the configuration: {error}") from error
    try:
        return _frozen(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.help) from error


def _frozen(content: dict[str, Any]) -> RunConfig:
    """Check the content of a frozen configuration, and freeze it again."""
    register()  # the message about an unknown key composes the known ones
    with translate_hydra_errors([]):
        typed = OmegaConf.merge(OmegaConf.structured(schema.hydra_schema()), upgrade(content))
        complete = OmegaConf.to_container(typed, throw_on_missing=True)
    assert isinstance(complete, dict)
    return from_dict({str(key): value for key, value in complete.items()})


def _expand_home(content: dict[str, Any]) -> None:
    """Expand ``~`` in paths: a shell does not expand it after ``a.key=``."""
    sources = [key for key, _ in mixture_sources(content.get("data"))]
    for key in (*_PATHS, *(f"{one}.{split}" for one in sources for split in ("train", "valid"))):
        *parents, name = key.split(".")
        node: Any = content
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        value = node.get(name) if isinstance(node, dict) else None
        if isinstance(value, str):
            node[name] = expanduser(value)
        elif isinstance(value, list):
            node[name] = [expanduser(item) if isinstance(item, str) else item for item in value]


def from_dict(content: dict[str, Any]) -> RunConfig:
    """Check plain values, as :meth:`RunConfig.as_dict` returns them, and freeze them.

    Raises:
        ConfigError: a value is invalid.
    """
    check_trunk(content)
    check_components(content)
    check_rules(content)
    return build_tree(RunConfig, content)


def to_yaml(config: RunConfig) -> str:
    """Return a frozen configuration as YAML."""
    return settings_to_yaml(config.as_dict())


def settings_to_yaml(settings: dict[str, Any]) -> str:
    """Return plain values, as :meth:`RunConfig.as_dict` returns them, as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(settings))
