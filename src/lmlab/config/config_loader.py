"""Compose configuration files in which a scale replaces defaults, and nothing that you chose.

Hydra merges the files of a defaults list in order, so that a scale, which comes after the options
of the groups, would replace values of the options that you selected.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra._internal.hydra as hydra_internals
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.default_element import GroupDefault, ResultDefault
from hydra.core.utils import setup_globals
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf, open_dict

from lmlab.config import resolvers
from lmlab.config.paths import conf_folder

# Groups whose options fill a node of the same name.
_NODES = (
    "model", "model/norm", "model/pos", "model/ffn", "model/attention", "model/init", "optim",
    "schedule", "data", "tokenizer", "runtime", "logger",
)  # fmt: skip
_SCALE = "scale/"


class ConfigLoader(ConfigLoaderImpl):
    """Hydra's loader, with the rule of scales; components take any key, which is checked later.

    A scale sets a parameter of an option where this parameter still has its default: the option is
    the default or the scale's own choice, or it is one of lmlab's and has the same value as those.
    Any other option keeps its values.
    """

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: Any
    ) -> DictConfig:
        config = self._compose_with_scales(defaults, repo)
        for group in _NODES:
            node = _node_of(config, group)
            if node is not None and node._metadata.object_type in (dict, None):
                # The target's signature, not the file of the option, says which keys exist.
                OmegaConf.set_struct(node, False)
        return config

    def _compose_with_scales(self, defaults: list[ResultDefault], repo: Any) -> DictConfig:
        scales = {d.config_path for d in defaults if str(d.config_path).startswith(_SCALE)}
        contents = {path: repo.load_config(path).config for path in scales}
        is_setting_options = any(
            isinstance(content.get(group.partition("/")[0]), DictConfig)
            for content in contents.values()
            for group in _NODES
        )
        if not is_setting_options:
            return super()._compose_config_from_defaults_list(defaults, repo)
        first = next(i for i, d in enumerate(defaults) if d.config_path in scales)
        before = super()._compose_config_from_defaults_list(defaults[:first], repo)
        chosen = {
            group: str(d.config_path)
            for d in defaults
            if (group := str(d.config_path).rpartition("/")[0]) in _NODES
        }
        expected = _defaults_of(repo, [str(d.config_path) for d in defaults if d.primary])
        for path in scales:
            expected |= _defaults_of(repo, [str(path)])
        kept = {
            group: _Option(path, before, repo, expected.get(group))
            for group, path in chosen.items()
            if path != f"{group}/{expected.get(group)}"
        }
        filtered = copy.copy(repo)
        filtered.cache = dict(repo.cache)
        for path in scales:
            filtered.cache[f"config_path={path}"] = _leave_alone(repo.load_config(path), kept)
        return super()._compose_config_from_defaults_list(defaults, filtered)


def _node_of(config: Any, group: str) -> DictConfig | None:
    """The node of a group; None where it has no keys, or another setting says which."""
    node = config
    for name in group.split("/"):
        node = node._get_node(name) if isinstance(node, DictConfig) else None
        if not isinstance(node, DictConfig) or node._is_interpolation() or node._is_none():
            return None
    return None if node._is_missing() else node


class _Option:
    """An option that is neither the default nor the choice of the scale.

    Args:
        path: of its file, for example ``schedule/linear``.
        composed: the configuration without the scale.
        repo: the files.
        expected: name of the option that the scale expects; None where it is not known.
    """

    def __init__(self, path: str, composed: DictConfig, repo: Any, expected: str | None) -> None:
        group = path.rpartition("/")[0]
        self.content: DictConfig = _node_of(composed, group) or OmegaConf.create()
        self.is_users = not repo.load_config(path).path.endswith(str(conf_folder()))
        found = repo.load_config(f"{group}/{expected}") if expected else None
        self.expected: DictConfig = found.config if found else OmegaConf.create()

    def allows(self, key: str) -> bool:
        """Whether a scale may set the parameter ``key``."""
        if self.is_users or (key not in self.content and key in self.expected):
            return False
        if key not in self.expected:
            return True
        return bool(self.content._get_node(key) == self.expected._get_node(key))


def _leave_alone(result: ConfigResult, kept: dict[str, _Option]) -> ConfigResult:
    """Return the content of a scale without what the ``kept`` options do not allow."""
    filtered = copy.copy(result)
    filtered.config = copy.deepcopy(result.config)
    for group, option in kept.items():
        node = _node_of(filtered.config, group)
        for key in () if node is None else list(node):
            assert node is not None
            if f"{group}/{key}" not in _NODES and not option.allows(str(key)):
                del node[key]
    return filtered


def _defaults_of(repo: Any, paths: list[str]) -> dict[str, str]:
    """The choices of the defaults lists of files, by group."""
    return {
        default.group.lstrip("/"): str(default.value)
        for path in paths
        for default in repo.load_config(path).defaults_list or ()
        if isinstance(default, GroupDefault) and default.group and default.value
    }


def compose_files(
    folder: Path, config_name: str, overrides: Sequence[str] = (), config_dir: str | None = None
) -> tuple[DictConfig, DictConfig]:
    """Compose a configuration from files.

    Unlike Hydra's ``compose``, this also works inside another Hydra program, whose state it keeps.

    Args:
        folder: the configuration files.
        config_name: the root file.
        overrides: in Hydra's form.
        config_dir: a further folder with options.

    Returns:
        The configuration, and its ``hydra`` node, which is removed from it.
    """
    setup_globals()
    resolvers.register_hydra()
    search_path = create_config_search_path(f"file://{folder}")
    if config_dir is not None:
        search_path.append("command-line", f"file://{Path(config_dir).resolve()}")
    base = VersionBase.instance().getbase()
    version.setbase("1.3")
    try:
        config = ConfigLoader(search_path).load_configuration(
            config_name, [*overrides, "hydra.job.name=train"], RunMode.RUN, from_shell=False
        )
    finally:
        VersionBase.instance().version_base = base
    with open_dict(config):
        hydra = config.pop("hydra")
    return config, hydra


def register() -> None:
    """Let Hydra's command line compose with this loader."""
    vars(hydra_internals)["ConfigLoaderImpl"] = ConfigLoader
